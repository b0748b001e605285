"""JSON with long data URIs is read as any other, without holding other threads up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toccata.server import strict_json
from toccata.server.strict_json import JsonError, read_json

LONG = "data:audio/wav;base64," + "UklG" * 40
TEXTS = st.text() | st.sampled_from(
    [LONG, f"x{LONG}", f'"{LONG}', f"{LONG}\\", f"{LONG}\n/", "data:", '"data:']
)
VALUES = st.recursive(
    TEXTS | st.integers(-9, 9) | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def plain(value: object) -> Any:
    """As it is read without the shortcut."""
    return read_json(json.dumps(value))


@pytest.fixture(autouse=True, scope="module")
def short() -> Iterator[None]:
    """What is long is short here, so that hypothesis can show it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strict_json, "LONG_BYTES", 64)
        yield


@given(VALUES)
def test_what_is_read_is_what_was_written(value: object) -> None:
    try:
        expected = plain(value)
    except JsonError:
        with pytest.raises(JsonError):
            read_json(json.dumps(value).encode())
        return
    assert read_json(json.dumps(value).encode()) == expected
    assert read_json(json.dumps(value, ensure_ascii=False, indent=1).encode()) == expected


def test_long_data_uris_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []
    loads = json.loads

    def watched(text: str, **options: Any) -> Any:
        parsed.append(len(text))
        return loads(text, **options)

    monkeypatch.setattr(strict_json.json, "loads", watched)  # type: ignore[attr-defined]
    body = json.dumps({"input": {"input_audio": LONG, "prompt": "x", "more": [LONG]}}).encode()
    assert read_json(body) == loads(body)
    assert parsed[0] < len(LONG)


@pytest.mark.parametrize("damage", [b"\x00", b"\xff", b"\\ud800"])
def test_damaged_ones_are_refused_all_the_same(damage: bytes) -> None:
    body = json.dumps({"a": LONG}).encode()
    with pytest.raises(JsonError):
        read_json(body[:-10] + damage + body[-10:])


def test_millions_of_short_data_uris_are_refused_without_a_look_at_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[bytes] = []
    plain_uri = strict_json._plain

    def watched(uri: bytes) -> str:
        looked.append(uri)
        return plain_uri(uri)

    monkeypatch.setattr(strict_json, "_plain", watched)
    short_ones = b'"data:' * 2_000_000
    escaped = (b'"data:' + b"\\x" * 100 + b'",') * 50_000
    for body in (short_ones, escaped, b"[" + escaped):
        looked.clear()
        with pytest.raises(JsonError, match="besides its audio"):
            read_json(body)
        assert len(looked) < 2 * strict_json.MAX_BYTES / strict_json.LONG_BYTES
