"""What can be filled in on the page: a component for each input, and the values read from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from toccata.errors import InputError
from toccata.generation.schema import Field, default_of
from toccata.server.versions import LATEST

VERSION = LATEST["toccata/musicgen"]
NAMES = VERSION.schema.names
EXAMPLES = (
    "lo-fi beat, 80 bpm, mellow piano",
    "solo classical guitar, calm, no drums",
    "fast rock with electric guitar and drums, 140 bpm",
    "dreamy synth pad, slow, in A minor",
)
# What is not folded away, in rows; the prompt is above all of them.
ROWS = (
    ("duration", "count", "seed"),
    ("model_version",),
    ("input_audio",),
    ("continuation_start", "continuation_end"),
    ("continuation",),
)
REST = tuple(name for name in NAMES if name != "prompt" and not any(name in row for row in ROWS))
# Words that are said on the page only.
HINTS = {
    "prompt": " Enter makes it, Shift+Enter begins a new line.",
    "continuation_start": " Trimming sets it.",
    "continuation_end": " Trimming sets it.",
}
TRIMMING = " The scissors cut out the part to use."

Form = dict[str, Any]


def prompt_box() -> gr.Textbox:
    """The prompt, with examples below it. Of one line to start with: then Enter submits it."""
    box = gr.Textbox(lines=1, max_lines=8, **_words(VERSION.schema["prompt"]))
    gr.Examples([[text] for text in EXAMPLES], inputs=[box])
    return box


def options() -> Form:
    """A component for every input but the prompt, by name."""
    made: Form = {}
    for row in ROWS:
        with gr.Row():
            made |= {name: _component(VERSION.schema[name]) for name in row}
    with gr.Accordion("More", open=False):
        made |= {name: _component(VERSION.schema[name]) for name in REST}
    return made


def given(values: Mapping[str, Any]) -> dict[str, object]:
    """What was filled in and is not as it would be anyway. Raises InputError."""
    filled = {name: value for name, value in values.items() if value not in (None, "")}
    fields = {name: VERSION.schema[name] for name in filled}
    read = {name: _read(fields[name], value) for name, value in filled.items()}
    return {name: value for name, value in read.items() if value != fields[name].default}


def _words(field: Field) -> dict[str, Any]:
    return {
        "label": field.name.replace("_", " ").capitalize(),
        "info": field.description + HINTS.get(field.name, ""),
        "elem_id": f"input-{field.name}",
        "min_width": 130,
    }


def _component(field: Field) -> gr.components.Component:
    words = _words(field)
    if field.kind == "audio":
        return _audio(words)
    if field.choices:
        return gr.Dropdown(list(field.choices), value=field.default, **words)
    if field.kind == "boolean":
        return gr.Checkbox(value=bool(field.default), **words)
    if field.default is None:  # a Number would show 0
        return gr.Textbox(placeholder=default_of(field), max_lines=1, **words)
    whole = 0 if field.kind == "integer" else None
    return gr.Number(value=field.default, precision=whole, **words)  # type: ignore[arg-type]


def _audio(words: dict[str, Any]) -> gr.Audio:
    """Without the button that would share it with another host."""
    with gr.Column():
        gr.Markdown(words.pop("info") + TRIMMING)
        return gr.Audio(
            sources=["upload", "microphone"], type="filepath", buttons=["download"], **words
        )


def _read(field: Field, value: object) -> object:
    """Numbers that were written as text. Raises InputError."""
    if field.kind not in ("integer", "number") or not isinstance(value, str):
        return value
    try:
        return int(value) if field.kind == "integer" else float(value)
    except ValueError as error:
        raise InputError(field.name, value, f"it must be {field.allowed}") from error
