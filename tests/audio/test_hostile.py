"""Files that are broken, or made to break the reader."""

import io
import struct
import tracemalloc
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.audio.sounds import FOREIGN, RATE_HZ, file_bytes, foreign_bytes, libsndfile_bytes, sine
from toccata.audio.files import read
from toccata.audio.stream_wav import wav_header
from toccata.audio.waveform import Waveform
from toccata.errors import AudioError

WHOLE = {
    **{format: file_bytes(sine(2.0), format) for format in ("wav", "flac", "ogg", "mp3")},
    **{kind: foreign_bytes(kind, 2.0) for kind in FOREIGN},
}
DECLARING = [kind for kind in WHOLE if kind != "aac"]  # ADTS is a stream: any part is whole


def flac_bomb(minutes: int) -> bytes:
    """Silence: kilobytes that decode to gigabytes."""
    import soundfile

    target = io.BytesIO()
    with soundfile.SoundFile(target, "w", 48000, 2, format="FLAC", subtype="PCM_16") as file:
        for _ in range(minutes):
            file.write(np.zeros((60 * 48000, 2), np.int16))
    return target.getvalue()


def test_a_bomb_is_stopped_while_it_is_decoded() -> None:
    bomb = flac_bomb(minutes=20)
    assert len(bomb) < 2**20
    tracemalloc.start()
    with pytest.raises(AudioError, match="longer than the limit of 10 s"):
        read(bomb, max_seconds=10)
    assert tracemalloc.get_traced_memory()[1] < 32 * 2**20
    tracemalloc.stop()


@pytest.mark.parametrize("kind", WHOLE)
def test_every_kind_heeds_the_cap_on_seconds(kind: str) -> None:
    with pytest.raises(AudioError, match="longer than the limit of 1 s"):
        read(WHOLE[kind], max_seconds=1.0)
    assert read(WHOLE[kind], max_seconds=1.0, end_s=0.5).duration_s == pytest.approx(0.5)


def test_no_caller_can_switch_off_the_cap_on_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toccata.audio.files.MAX_VALUES", 2 * RATE_HZ)
    with pytest.raises(AudioError, match="longer than the limit of 1 s"):
        read(WHOLE["wav"], max_seconds=None)


def test_the_cap_on_bytes_holds_for_every_source(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    path.write_bytes(WHOLE["wav"])
    for source in (path, WHOLE["wav"], io.BytesIO(WHOLE["wav"])):
        with pytest.raises(AudioError, match=r"larger than the limit of 0\.0009"):
            read(source, max_bytes=1000)


@pytest.mark.parametrize("part", [0.05, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("kind", DECLARING)
def test_a_file_cut_short_is_refused(kind: str, part: float, tmp_path: Path) -> None:
    path = tmp_path / f"tone.{kind}"
    path.write_bytes(WHOLE[kind][: int(part * len(WHOLE[kind]))])
    with pytest.raises(AudioError, match=f"tone.{kind}: .*again"):
        read(path)


def test_a_long_wav_cut_short_is_refused() -> None:
    rf64 = libsndfile_bytes(sine(), "RF64", "PCM_16")
    with pytest.raises(AudioError, match="cut short"):
        read(rf64[: len(rf64) // 2])


@pytest.mark.parametrize("kind", WHOLE)
def test_only_the_first_bytes_of_a_file(kind: str) -> None:
    for length in (4, 12, 44):
        with pytest.raises(AudioError):
            read(WHOLE[kind][:length])


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(sorted(set(WHOLE) - {"mp3"})),
    at=st.integers(0, 400),
    garbage=st.binary(min_size=1, max_size=16),
)
def test_a_damaged_header_gives_audio_or_an_audio_error(kind: str, at: int, garbage: bytes) -> None:
    damaged = WHOLE[kind][:at] + garbage + WHOLE[kind][at + len(garbage) :]
    try:
        decoded = read(damaged, max_seconds=100)
    except AudioError:
        return
    assert np.isfinite(decoded.samples).all()


@pytest.mark.parametrize(
    ("rate_hz", "channels", "data"),
    [
        (0, 2, bytes(400)),
        (1, 1, bytes(400)),
        (2**31 - 1, 1, bytes(400)),
        (RATE_HZ, 0, bytes(400)),
        (RATE_HZ, 65535, bytes(400)),
        (RATE_HZ, 2, b""),
    ],
)
def test_wav_headers_that_make_no_sense(rate_hz: int, channels: int, data: bytes) -> None:
    fields = (16, 1, channels, rate_hz, 2**31, channels * 2 % 2**16, 16)
    form = b"WAVEfmt " + struct.pack("<IHHIIHH", *fields)
    content = form + struct.pack("<4sI", b"data", len(data)) + data
    with pytest.raises(AudioError):
        read(struct.pack("<4sI", b"RIFF", len(content)) + content)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 32768.0])
def test_floats_that_are_no_sound_are_refused(wrong: float) -> None:
    samples = sine(channels=1).samples.copy()
    samples[0, 50] = wrong
    data = wav_header(RATE_HZ, 1, 32, samples.nbytes) + samples.tobytes()
    with pytest.raises(AudioError, match=r"not numbers|full scale"):
        read(data)


def test_a_wav_without_its_length_is_read_as_far_as_it_goes() -> None:
    data = wav_header(RATE_HZ, 2) + bytes(4 * RATE_HZ)
    assert read(data).duration_s == 1.0


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no such file"):
        read(tmp_path / "no.wav")
    with pytest.raises(AudioError, match="is a folder"):
        read(tmp_path)


def test_a_film_without_sound() -> None:
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        for packet in (*stream.encode(picture), *stream.encode(None)):
            output.mux(packet)
    with pytest.raises(AudioError, match="no audio track"):
        read(target.getvalue())


def test_a_playlist_cannot_open_other_files(tmp_path: Path) -> None:
    """FFmpeg would follow it; nothing here lets it guess."""
    secret = tmp_path / "secret.wav"
    secret.write_bytes(WHOLE["wav"])
    for text in (f"#EXTM3U\n#EXTINF:1,\n{secret}\n", f"ffconcat version 1.0\nfile {secret}\n"):
        with pytest.raises(AudioError, match="is text"):
            read(text.encode())
        with pytest.raises(AudioError):
            read(b"\0\0\0\x18ftypM4A " + text.encode())


def test_a_waveform_survives_a_trip_through_hostile_metadata() -> None:
    tone = Waveform(sine().samples, RATE_HZ)
    data = file_bytes(tone, "flac", tags={"prompt": "\ud800" + "\0" * 9 + "x" * 100_000})
    assert read(data).samples.shape == tone.samples.shape
