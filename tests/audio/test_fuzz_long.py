"""Files damaged anywhere give audio or an AudioError: nothing else, and no word on stderr."""

from __future__ import annotations

import os
import tempfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.audio import damaged
from tests.audio.sounds import FOREIGN, RARE, encoded, file_bytes, foreign_bytes, sine
from tests.audio.test_repair import SIBLINGS, WAV
from toccata.audio.files import read
from toccata.errors import ToccataError

WHOLE = {
    "wav": file_bytes(sine(0.3), "wav"),
    **{name: file_bytes(sine(0.3), name) for name in ("flac", "ogg", "mp3")},
    **{kind: foreign_bytes(kind, 0.3) for kind in (*FOREIGN, *RARE)},
    **{f"plain {name}": data for name, data in SIBLINGS.items()},
    "mov": encoded(sine(0.3, rate_hz=44100), "mov", "pcm_s16le"),
    "mka": encoded(sine(0.3, rate_hz=44100), "matroska", "aac"),
    "tagged mp3": damaged.id3(40) + damaged.id3(9) + file_bytes(sine(0.3), "mp3"),
    "odd wav": damaged.wav_with_odd_chunk(WAV),
}
HEADER_BYTES = 600
MAX_SECONDS = 20.0


class Edit:
    """Bytes to overwrite, to put in or to take out at a place, given as a share of the file."""

    overwrite, insert, delete = range(3)


edits = st.lists(
    st.tuples(
        st.integers(Edit.overwrite, Edit.delete),
        st.integers(0, HEADER_BYTES) | st.floats(0, 1),
        st.binary(min_size=1, max_size=8)
        | st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\0" * 8, b"\xff" * 8]),
    ),
    max_size=4,
)


def edited(data: bytes, changes: list[tuple[int, float, bytes]], share: float) -> bytes:
    for kind, where, content in changes:
        at = where if isinstance(where, int) else int(where * len(data))
        cut = 0 if kind == Edit.insert else len(content)
        data = data[:at] + (b"" if kind == Edit.delete else content) + data[at + cut :]
    return data[: int(share * len(data))]


@pytest.fixture(scope="module", autouse=True)
def quiet_stderr() -> object:
    """What libraries write past Python goes there as well."""
    with tempfile.TemporaryFile() as sink:
        kept = os.dup(2)
        os.dup2(sink.fileno(), 2)
        yield
        os.dup2(kept, 2)
        os.close(kept)
        sink.seek(0)
        assert sink.read() == b""


@pytest.mark.parametrize("kind", WHOLE)
@settings(
    max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=edits, share=st.just(1.0) | st.floats(0, 1))
def test_damaged_files_give_audio_or_an_audio_error(
    kind: str, changes: list[tuple[int, float, bytes]], share: float
) -> None:
    data = edited(WHOLE[kind], changes, share)
    said: list[str] = []
    try:
        audio = read(data, max_seconds=MAX_SECONDS, max_rate_hz=48_000, warn=said.append)
    except ToccataError:
        return
    assert np.isfinite(audio.samples).all()
    assert audio.samples.size
    assert audio.sample_rate_hz <= 48_000
