"""Write the parts of README.md and docs/ that are generated from the code, or check them.

Run as `python scripts/reference.py [--check]`; `--check` exits with 1 and names the documents that
are out of date. A part is between `<!-- name -->` and `<!-- /name -->`; the text around it is
written by hand.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # for `recipes`, which no package installs

from recipes.mini.captions.mood_words import MOODS, known_moods  # noqa: E402
from recipes.mini.captions.tables import TEMPO_WORDS  # noqa: E402
from recipes.mini.captions.vocabulary import genre_words, instrument_words  # noqa: E402
from recipes.mini.composer.genres import all_genres  # noqa: E402
from recipes.mini.composer.instruments import FAMILIES, INSTRUMENTS, KITS  # noqa: E402
from toccata import errors, settings  # noqa: E402
from toccata.cli import app  # noqa: E402
from toccata.generation import schema  # noqa: E402
from toccata.models import KNOWN  # noqa: E402
from toccata.server.app import create_app  # noqa: E402
from toccata.server.config import ServerSettings  # noqa: E402
from toccata.server.hosted_inputs import EXTENDED, HOSTED  # noqa: E402

SOURCE = ROOT / "src" / "toccata"
REFERENCE = ROOT / "docs" / "reference"
COMMON_STATUSES = ("400", "401", "403", "413", "415", "421")  # docs/reference/http.md has them


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a table in Markdown; cells may have any text."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(text) for text in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", r"\|").split())


def _code(text: object) -> str:
    return f"`{text}`" if text not in (None, "") else ""


# Inputs and models


def inputs() -> str:
    """The fields of a request."""
    head = ("Field", "Default", "Allowed values", "Meaning")
    return table(head, (_field(field) for field in schema.REQUEST.fields))


def _field(field: schema.Field) -> tuple[str, ...]:
    return (_code(field.name), schema.default_of(field), field.allowed, field.description)


def hosted_inputs() -> str:
    """The inputs of the HTTP API: those of toccata's version beside those of the hosted one."""
    head = ("Input", "Default", "Allowed values", "At the hosted API", "Meaning")
    return table(head, map(_hosted, EXTENDED.fields))


def _hosted(field: schema.Field) -> tuple[str, ...]:
    hosted = HOSTED[field.name]
    limits = "" if hosted.allowed == field.allowed else hosted.allowed
    if hosted.default not in (None, field.default):
        limits = f"{limits}; default {schema.default_of(hosted)}".removeprefix("; ")
    return (
        _code(field.name), schema.default_of(field), field.allowed, limits, field.description,
    )  # fmt: skip


def models() -> str:
    """The models that have short names."""
    head = ("Name", "Repository", "Conditioned on", "Channels")
    rows = (
        (_code(one.name), _code(one.hub_id) or "in the package", one.follows, str(one.channels))
        for one in KNOWN.values()
    )
    return table(head, rows)


# The command line


def commands() -> str:
    """Every command of `toccata`, with its arguments, options and examples."""
    return "\n\n".join(_command(path, command) for path, command in _walk("toccata", _root()))


def _root() -> Any:
    return typer.main.get_command(app)


def _walk(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from _walk(f"{path} {name}", child)


def _command(path: str, command: Any) -> str:
    context = command.make_context(path, [], resilient_parsing=True)
    usage = command.get_usage(context).removeprefix("Usage: ")
    records = [(p, p.get_help_record(context)) for p in command.get_params(context)]
    shown = [(p, record) for p, record in records if record]
    parts = [f"## {path}", _prose(command.help), f"```text\n{' '.join(usage.split())}\n```"]
    for title, kind in (("Argument", "argument"), ("Option", "option")):
        rows = [(_code(r[0]), r[1]) for p, r in shown if p.param_type_name == kind]
        parts += [table((title, "Meaning"), rows)] if rows else []
    return "\n\n".join(part for part in (*parts, _prose(command.epilog)) if part)


def _prose(text: str | None) -> str:
    """Help text as Markdown: paragraphs, and lines that are indented as commands."""
    blocks: list[str] = []
    for block in inspect.cleandoc(text or "").split("\n\n"):
        code = block.startswith("  ")
        if code and blocks and blocks[-1].startswith("```"):
            blocks[-1] = f"{blocks[-1][:-4]}\n{block.strip()}\n```"
        elif code:
            blocks.append(f"```sh\n{block.strip()}\n```")
        else:
            blocks.append(block.strip())
    return "\n\n".join(blocks)


# Settings and errors


def variables() -> str:
    """The settings that every command reads."""
    return _settings(settings.common_settings())


def server_variables() -> str:
    """The settings that only `toccata serve` reads."""
    return _settings(settings.server_settings())


def _settings(declared: Iterable[settings.Setting]) -> str:
    rows = [
        (
            _code(one.variable),
            _code(one.flag),
            one.about.default_text or _code(_default(one)),
            one.allowed,
            one.about.text,
        )
        for one in declared
    ]
    return table(("Variable", "Flag", "Default", "Allowed values", "Meaning"), rows)


def _default(declared: settings.Setting) -> object:
    return int(declared.default) if declared.kind is bool else declared.default_in_words


def error_classes() -> str:
    """Every error of the library, with its exit code and HTTP status."""
    rows = [
        (
            _code(one.__name__),
            _code(one.__mro__[1].__name__),
            "its process's" if one is errors.MeasurementError else str(one.exit_code),
            str(one.http_status),
            (one.__doc__ or "").partition("\n")[0],
        )
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, errors.ToccataError)
    ]
    return table(("Error", "Subclass of", "Exit code", "HTTP status", "Raised when"), rows)


# HTTP


def operations() -> str:
    """Every operation of the HTTP API."""
    paths = _openapi()["paths"].items()
    return "\n\n".join(
        _operation(f"{method.upper()} {path}", operation)
        for path, methods in paths
        for method, operation in methods.items()
    )


def _openapi() -> dict[str, Any]:
    return create_app(ServerSettings(page=False)).openapi()


def _operation(name: str, operation: Mapping[str, Any]) -> str:
    parts = [f"### `{name}`", operation.get("summary", ""), operation.get("description", "")]
    if parameters := operation.get("parameters"):
        rows = [
            (_code(p["name"]), p["in"], _type(p.get("schema", {})), p.get("description", ""))
            for p in parameters
        ]
        parts.append(table(("Parameter", "In", "Type", "Meaning"), rows))
    if body := operation.get("requestBody"):
        parts.append(f"Body: {_content(body['content'])}.")
    responses = [
        (status, answer["description"], _content(answer.get("content", {})))
        for status, answer in operation["responses"].items()
        if status not in COMMON_STATUSES
    ]
    parts += [table(("Status", "Meaning", "Content"), responses)] if responses else []
    return "\n\n".join(part for part in parts if part)


def _content(content: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{_type(one.get('schema', {}))} as {_code(kind)}" for kind, one in content.items()
    )


def schemas() -> str:
    """The objects of the HTTP API, but for the inputs of the versions of a model."""
    parts = [
        f"### {name}\n\n{_properties(one)}"
        for name, one in _openapi()["components"]["schemas"].items()
        if not name.startswith("Input-") and one.get("properties")
    ]
    return "\n\n".join(parts)


def _properties(one: Mapping[str, Any]) -> str:
    required = one.get("required", ())
    rows = [
        (_code(name), _type(value), "yes" if name in required else "", _meaning(value))
        for name, value in one["properties"].items()
    ]
    return table(("Property", "Type", "Required", "Meaning"), rows)


def _meaning(value: Mapping[str, Any]) -> str:
    choices = ", ".join(_code(choice) for choice in value.get("enum", ()))
    return ". ".join(text for text in (value.get("description", "").rstrip("."), choices) if text)


def _type(value: Mapping[str, Any]) -> str:
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return name if not name.startswith("Input-") else "the inputs"
    if "anyOf" in value:
        return " or ".join(dict.fromkeys(_type(one) for one in value["anyOf"]))
    kind = value.get("type", "any")
    kind = " or ".join(kind) if isinstance(kind, list) else kind
    if kind == "array":
        return f"list of {_type(value.get('items', {}))}"
    return f"{kind} ({value['format']})" if "format" in value else kind


# Words


def genres() -> str:
    """The genres that `mini` was trained on, with the other words for each."""
    words = genre_words()
    rows = [
        (one.name, f"{one.bpm[0]} to {one.bpm[1]}", ", ".join(words[one.name][1:]))
        for one in all_genres()
    ]
    return table(("Genre", "Tempo, bpm", "Also understood"), rows)


def instruments() -> str:
    """The instruments that `mini` was trained on, by family, with the other words for each."""
    words = instrument_words()
    rows = [
        (family, one.name, ", ".join(words[one.name][1:]))
        for family in FAMILIES
        for one in INSTRUMENTS.values()
        if one.family == family
    ]
    return table(("Family", "Instrument", "Also understood"), rows)


def kits() -> str:
    """The drum kits that `mini` was trained on."""
    return table(("Kit", "Words"), ((one.name, ", ".join(one.words)) for one in KITS.values()))


def moods() -> str:
    """The moods that `mini` was trained on, with the other words for each."""
    rows = ((mood, ", ".join(MOODS.get(mood, ()))) for mood in sorted(known_moods()))
    return table(("Mood", "Also understood"), rows)


def tempi() -> str:
    """The words for a tempo."""
    rows = ((name, ", ".join(dict.fromkeys(words))) for name, words in TEMPO_WORDS.items())
    return table(("Tempo", "Words"), rows)


# Folders and files


def folders() -> str:
    """The folders of the package, with the first sentence of their docstrings."""
    packages = [path.parent for path in sorted(SOURCE.glob("*/__init__.py"))]
    rows = [(f"`src/toccata/{path.name}`", _purpose(path / "__init__.py")) for path in packages]
    return table(("Folder", "What it has"), rows)


def tree() -> str:
    """Every source file, with the first sentence of its docstring."""
    lines = ["```text", "src/toccata/"]
    order = lambda path: (path.parent.parts, path.name != "__init__.py", path.name)  # noqa: E731
    for path in sorted(SOURCE.rglob("*.py"), key=order):
        relative = path.relative_to(SOURCE)
        indent = "  " * len(relative.parts)
        if relative.name == "__init__.py" and len(relative.parts) > 1:
            lines.append(f"{indent[2:]}{relative.parent.name + '/':<24}{_purpose(path)}")
        else:
            lines.append(f"{indent}{relative.name:<24}{_purpose(path)}")
    return "\n".join([*lines, "```"])


def _purpose(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = " ".join(text.partition("\n\n")[0].split())
    # The dot of "et al." ends no sentence.
    return re.split(r"(?<!et al)\. ", first)[0].strip(" .")


PARTS: Mapping[Path, Sequence[Callable[[], str]]] = {
    ROOT / "README.md": (folders,),
    REFERENCE / "cli.md": (commands,),
    REFERENCE / "errors.md": (error_classes,),
    REFERENCE / "http.md": (operations, schemas),
    REFERENCE / "inputs.md": (inputs, hosted_inputs),
    REFERENCE / "models.md": (models,),
    REFERENCE / "settings.md": (variables, server_variables),
    REFERENCE / "source.md": (tree,),
    REFERENCE / "vocabulary.md": (genres, instruments, kits, moods, tempi),
}
"""The functions that generate the parts of each document, between markers of their names."""


def filled(path: Path, text: str) -> str:
    """Generate every part of the document at `path`."""
    for make in PARTS[path]:
        name = make.__name__
        parts = re.split(rf"(<!-- /?{name} -->\n)", text)
        if len(parts) != 5:
            raise SystemExit(
                f"{path.name}: it needs <!-- {name} --> and <!-- /{name} --> once each"
            )
        parts[2] = f"\n{make()}\n\n"
        text = "".join(parts)
    return text


def main() -> None:
    """Write all documents, or with --check exit with 1 if one is out of date."""
    stale = []
    for path in PARTS:
        text = path.read_text(encoding="utf-8")
        new = filled(path, text)
        if new != text:
            stale.append(str(path.relative_to(ROOT)))
            if "--check" not in sys.argv[1:]:
                path.write_text(new, encoding="utf-8")
    if stale and "--check" in sys.argv[1:]:
        raise SystemExit(f"{', '.join(stale)}: out of date; run make docs")


if __name__ == "__main__":
    main()
