"""Check the links of the built site, and those of README.md.

Run as `python scripts/check_links.py SITE`, after Sphinx has built SITE. Every internal address
must be a file of the site, and every fragment an id of its page. Addresses of other sites are not
fetched: the check works offline.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parent.parent


class Page(HTMLParser):
    """The addresses and the ids of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect the addresses and the id of a tag; the parser calls this."""
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            elif name in ("href", "src") and value:
                self.addresses.append(value)


@cache
def page(path: Path) -> Page:
    """Parse the page at `path`, once."""
    return Page(path.read_text(encoding="utf-8"))


def problem(source: Path, address: str) -> str:
    """Return the problem of an address on the page `source`, or ""."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return ""
    target = (source.parent / unquote(parts.path)).resolve() if parts.path else source
    if target.is_dir():
        target /= "index.html"
    if not target.exists():
        return "no such file"
    if parts.fragment and target.suffix == ".html" and parts.fragment not in page(target).ids:
        return "no such heading"
    return ""


def of_site(site: Path) -> list[str]:
    """Return the broken links of all pages of a site."""
    return [
        f"{path.relative_to(site)}: {address}: {wrong}"
        for path in sorted(site.rglob("*.html"))
        for address in dict.fromkeys(page(path).addresses)
        if (wrong := problem(path, address))
    ]


def of_readme() -> list[str]:
    """Return the broken links and pictures of README.md, which is not a page of the site."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    addresses = re.findall(r'\]\(([^)\s]+)\)|(?:src|srcset)="([^"]+)"', text)
    return [
        f"README.md: {address}: no such file"
        for address in (link or picture for link, picture in addresses)
        if "://" not in address
        and not address.startswith("#")
        and not (ROOT / address.partition("#")[0]).exists()
    ]


def main() -> None:
    """Print every broken link, and exit with 1 if there is one."""
    site = Path(sys.argv[1]).resolve()
    if not (site / "index.html").exists():
        raise SystemExit(f"{site}: no site; run make site")
    broken = of_site(site) + of_readme()
    if broken:
        raise SystemExit("\n".join(broken))


if __name__ == "__main__":
    main()
