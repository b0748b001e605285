"""`/docs`: the OpenAPI document as a page that loads nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

_STYLE = """
:root {color-scheme: light dark}
body {font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem}
code, pre, summary b {font-family: ui-monospace, monospace}
details {border-top: 1px solid #8885; padding: .5rem 0}
summary {cursor: pointer; overflow-wrap: anywhere}
pre {overflow-x: auto; padding: .5rem; border: 1px solid #8885; border-radius: .25rem}
table {border-collapse: collapse} td, th {padding: .1rem .75rem .1rem 0; text-align: left;
vertical-align: top}
"""
_INTRO = (
    "Every operation of this server. The same as a document for programs: "
    '<a href="v1/openapi.json"><code>v1/openapi.json</code></a>. Where the server has tokens, send '
    "<code>Authorization: Bearer TOKEN</code>."
)


def docs_html(document: Mapping[str, Any]) -> str:
    """The page.

    Args:
        document: An OpenAPI 3.1 document whose schemas are all among its components.
    """
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    operations = "".join(
        _operation(method, path, operation)
        for path, each in document["paths"].items()
        for method, operation in each.items()
    )
    schemas = "".join(map(_schema, document["components"]["schemas"].items()))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1><p>{_INTRO}</p>"
        f"<h2>Operations</h2>{operations}<h2>Schemas</h2>{schemas}</body></html>"
    )


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    head = f"<b>{method.upper()} {escape(path)}</b> {escape(operation.get('summary', ''))}"
    return f"<details><summary>{head}</summary>{''.join(_parts(operation))}</details>"


def _parts(operation: Mapping[str, Any]) -> Iterator[str]:
    if operation.get("parameters"):
        rows = [
            (one["name"], one["in"], _kind(one["schema"]), one.get("description", ""))
            for one in operation["parameters"]
        ]
        yield _table("Parameters", rows)
    if body := operation.get("requestBody"):
        yield _table(
            "Body", [(kind, _kind(one["schema"])) for kind, one in body["content"].items()]
        )
    rows = [
        (status, one["description"], *(_content(one)))
        for status, one in operation["responses"].items()
    ]
    yield _table("Responses", rows)


def _content(response: Mapping[str, Any]) -> tuple[str, str]:
    content = response.get("content", {})
    kinds = dict.fromkeys(_kind(one.get("schema", {})) for one in content.values())
    return ", ".join(content), ", ".join(kinds)


def _table(caption: str, rows: Sequence[tuple[str, ...]]) -> str:
    lines = "".join(
        "<tr>" + "".join(f"<td>{cell if '<' in cell else escape(cell)}</td>" for cell in row)
        + "</tr>"
        for row in rows
    )  # fmt: skip
    return f"<h4>{caption}</h4><table>{lines}</table>"


def _kind(schema: Mapping[str, Any]) -> str:
    """The type of a schema in a word, or a link to what it refers to."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{escape(name)}">{escape(name)}</a>'
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " | ".join(map(_kind, schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("type", "any"))


def _schema(named: tuple[str, Any]) -> str:
    name, schema = named
    text = escape(json.dumps(schema, indent=2, ensure_ascii=False))
    return (
        f'<details id="{escape(name)}"><summary><b>{escape(name)}</b></summary>'
        f"<pre>{text}</pre></details>"
    )
