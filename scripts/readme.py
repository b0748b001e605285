"""Write the parts of README.md that are made from the code, or check that they are up to date.

Run as `python scripts/readme.py [--check]`. A part stands between `<!-- name -->` and
`<!-- /name -->`.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

from toccata.generation.schema import EXTENDED, HOSTED, Field, default_of
from toccata.models import KNOWN

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
SOURCE = ROOT / "src" / "toccata"


def inputs() -> str:
    """The table of all inputs."""
    head = "| input | default | what it may be | at the hosted API | what it does |"
    return "\n".join([head, "|---|---|---|---|---|", *(_row(field) for field in EXTENDED.fields)])


def _row(field: Field) -> str:
    hosted = HOSTED[field.name]
    limits = "" if hosted.allowed == field.allowed else hosted.allowed
    if hosted.default not in (None, field.default):
        limits = f"{limits}; default {default_of(hosted)}".removeprefix("; ")
    cells = (f"`{field.name}`", default_of(field), field.allowed, limits, field.description)
    return "| " + " | ".join(cells) + " |"


def models() -> str:
    """The table of all models with short names."""
    head = "| name | repository | follows | channels |"
    rows = [
        f"| `{known.name}` | {f'`{known.hub_id}`' if known.hub_id else 'in the package'} "
        f"| {known.follows} | {known.channels} |"
        for known in KNOWN.values()
    ]
    return "\n".join([head, "|---|---|---|---|", *rows])


def tree() -> str:
    """Every source file, with the first line of its docstring."""
    lines = ["```", "src/toccata/"]
    for path in sorted(SOURCE.rglob("*.py"), key=lambda path: (path.parent.parts, path.name)):
        relative = path.relative_to(SOURCE)
        indent = "  " * len(relative.parts)
        if relative.name == "__init__.py" and len(relative.parts) > 1:
            lines.append(f"{indent[2:]}{relative.parent.name + '/':<24}{_purpose(path)}")
        else:
            lines.append(f"{indent}{relative.name:<24}{_purpose(path)}")
    return "\n".join([*lines, "```"])


def _purpose(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].partition(". ")[0].strip(" .")


PARTS = {"inputs": inputs, "models": models, "tree": tree}


def filled(text: str) -> str:
    """`text` with every part made anew."""
    for name, make in PARTS.items():
        parts = re.split(rf"(<!-- /?{name} -->\n)", text)
        if len(parts) != 5:
            raise SystemExit(f"README.md: it needs <!-- {name} --> and <!-- /{name} --> once each")
        parts[2] = f"{make()}\n"
        text = "".join(parts)
    return text


def main() -> None:
    """Write, or with --check exit 1 if there is something to write."""
    text = README.read_text(encoding="utf-8")
    new = filled(text)
    if "--check" in sys.argv[1:]:
        if new != text:
            raise SystemExit("README.md is out of date: run make docs")
    else:
        README.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
