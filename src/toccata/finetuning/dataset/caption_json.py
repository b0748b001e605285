"""Captions in JSON: one field of text, or audiocraft's metadata, whose fields are joined."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping

from toccata.conditioners.beats import FASTEST_BPM, SLOWEST_BPM
from toccata.errors import InputError
from toccata.finetuning.dataset.caption_tags import add_key, add_tempo

_CAPTION_FIELDS = ("caption", "description", "prompt")
_LIST_FIELDS = ("genre", "moods", "keywords")


def caption_of(name: str, text: str) -> str:
    """Compose a caption from the fields of a JSON object.

    Texts and lists come first, without repetition, then tempo and key if no text names them. Other
    fields are ignored.

    Args:
        name: The song, for errors.
        text: The JSON.

    Returns:
        The caption; "" if no field has text.

    Raises:
        InputError: It is no JSON object, or a field has a wrong type.
    """
    values = _object(name, text)
    parts: list[str] = []
    for part in _parts(name, values):
        if part.casefold() not in ", ".join(parts).casefold():
            parts.append(part)
    caption = add_tempo(", ".join(parts), _bpm(name, values.get("bpm")))
    return add_key(caption, _text(name, "key", values.get("key")) or None)


def _object(name: str, text: str) -> Mapping[str, object]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(name, text[:40], f"its caption is no JSON ({error})") from error
    if not isinstance(values, dict):
        raise InputError(name, text[:40], 'its caption must be like {"caption": "slow piano"}')
    return values


def _parts(name: str, values: Mapping[str, object]) -> Iterator[str]:
    captions = [_text(name, field, values.get(field)) for field in _CAPTION_FIELDS]
    yield from [caption for caption in captions if caption][:1]
    for field in _LIST_FIELDS:
        yield from filter(None, _texts(name, field, values.get(field)))


def _texts(name: str, field: str, value: object) -> list[str]:
    """A list of words, or words with commas between them."""
    if isinstance(value, list):
        return [_text(name, field, one) for one in value]
    return [part.strip() for part in _text(name, field, value).split(",")]


def _text(name: str, field: str, value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"{name}: {field}", value, "give text")
    return value.strip()


def _bpm(name: str, value: object) -> float | None:
    """The tempo; audiocraft's files have numbers, numbers as text, and null."""
    if value is None or value == "":
        return None
    try:
        bpm = float(str(value))
    except ValueError:
        bpm = math.nan
    if not SLOWEST_BPM <= bpm <= FASTEST_BPM:
        cure = f"give beats per minute from {SLOWEST_BPM:g} to {FASTEST_BPM:g}, or leave it out"
        raise InputError(f"{name}: bpm", value, cure)
    return bpm
