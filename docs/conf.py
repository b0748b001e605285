"""The documentation as a site: `make site` builds it into build/site.

The sources are Markdown that a code host shows as well. The source folder is the whole checkout,
so that documents at its root are part of the site and links between them work in both places.
"""

from __future__ import annotations

import os
from typing import Any

from docutils import nodes
from sphinx.addnodes import download_reference
from sphinx.application import Sphinx
from sphinx.util.osutil import relative_uri

from toccata import __version__

project = "toccata"
author = "The toccata authors"
copyright = author
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "src/toccata/mini/MODEL_CARD.md",
]
exclude_patterns = [".*", "bench", "build", "configs", "dist", "recipes", "runs", "tests"]
exclude_patterns += ["docs/lab/evaluation"]  # what a command writes; pages link to it
source_suffix = {".md": "markdown"}

myst_heading_anchors = 4  # links to headings are written as a code host makes them
myst_enable_extensions = ["colon_fence"]
suppress_warnings = ["myst.header"]  # pages made of parts begin at any level

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
default_role = "literal"  # docstrings write names in single backticks

html_theme = "furo"
html_title = f"toccata {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["front"]  # index.html, which leads to the documents
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}


def add_players(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Put a player above every link to a clip; a code host shows the link alone."""
    if app.builder.format != "html":
        return
    folder = relative_uri(app.builder.get_target_uri(name), "_downloads")
    for link in list(doctree.findall(download_reference)):
        if link["reftarget"].endswith(".mp3") and "filename" in link:
            player = (
                f'<audio controls preload="none" src="{os.fspath(folder)}/{link["filename"]}">'
                f"{link.astext()}</audio>"
            )
            link.parent.parent.insert(
                link.parent.parent.index(link.parent), nodes.raw("", player, format="html")
            )


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("doctree-resolved", add_players)
    return {"parallel_read_safe": True}
