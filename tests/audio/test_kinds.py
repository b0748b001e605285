"""Containers and codecs that people bring: found, decoded in their place, and in silence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.audio.damaged import id3
from tests.audio.sounds import (
    RARE,
    encoded,
    file_bytes,
    foreign_bytes,
    libsndfile_bytes,
    loudest_hz,
    noise,
    sine,
)
from toccata.audio.files import read
from toccata.audio.mpeg import declared_s
from toccata.audio.sniff import sniff
from toccata.audio.waveform import Waveform
from toccata.errors import AudioError

MP3 = file_bytes(sine(1.0), "mp3")


@pytest.mark.parametrize("kind", RARE)
def test_rare_kinds_are_read(kind: str) -> None:
    data = foreign_bytes(kind, 1.0)
    assert sniff(data) == kind
    audio = read(data)
    assert audio.sample_rate_hz == RARE[kind][2]
    assert audio.duration_s == pytest.approx(1.0, abs=0.08)
    assert loudest_hz(audio.samples, audio.sample_rate_hz) == pytest.approx(440, abs=3)


@pytest.mark.parametrize(
    "before",
    [
        id3(100) + id3(300),
        id3(10, version=3) + bytes(50) + id3(5000) + id3(20),
        b"\x01junk of a broken stream \xff\xfb" * 40,
        id3(64) + b"\xff\xff\xff" + b"left over" * 500,
    ],
    ids=["two tags", "three tags and padding", "junk", "a tag and junk"],
)
@pytest.mark.parametrize("kind", ["mp3", "mp2", "aac"])
def test_frames_are_found_behind_tags_and_junk(before: bytes, kind: str) -> None:
    data = MP3 if kind == "mp3" else foreign_bytes(kind, 1.0)
    assert sniff(before + data) == kind
    plain, behind = read(data), read(before + data)
    np.testing.assert_array_equal(behind.samples, plain.samples)


def test_an_archive_with_an_mp3_in_it_is_no_mp3() -> None:
    with pytest.raises(AudioError, match="zip archive"):
        sniff(b"PK\x03\x04" + bytes(60) + MP3)


@pytest.mark.parametrize("data", [b"MThd\0\0\0\x06", b"RIFF\0\0\0\0RMIDdata"])
def test_midi_is_said_to_hold_no_audio(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "song.mid"
    path.write_bytes(data + bytes(99))
    with pytest.raises(AudioError, match=r"song\.mid: is a MIDI file.* no audio.*synthesizer"):
        read(path)


def onset(audio: Waveform) -> int:
    """The first sample that is heard."""
    return int(np.argmax(np.abs(audio.samples[0]) > 0.1))


@pytest.mark.parametrize(
    ("container", "codec"),
    [("adts", "aac"), ("matroska", "aac"), ("ipod", "aac"), ("mp3", "libmp3lame")],
)
def test_what_encoders_put_before_the_audio_is_trimmed(container: str, codec: str) -> None:
    late = sine(1.0, rate_hz=44100)
    late.samples[:, :22050] = 0
    assert onset(read(encoded(late, container, codec))) == pytest.approx(onset(late), abs=30)


def test_matroska_that_does_not_say_what_to_trim() -> None:
    late = sine(1.0, rate_hz=44100)
    late.samples[:, :22050] = 0
    data = encoded(late, "matroska", "aac")
    delay = data.index(b"\x56\xaa")  # CodecDelay; 0xEC is Void, which readers pass over
    size = data[delay + 2] & 0x7F
    data = (
        data[:delay]
        + b"\xec"
        + bytes((0x80 | size + 1,))
        + bytes(size + 1)
        + data[delay + 3 + size :]
    )
    assert onset(read(data)) == pytest.approx(onset(late), abs=30)


@pytest.mark.parametrize("container", ["mp4", "mov", "matroska"])
def test_the_first_track_that_can_be_decoded(container: str) -> None:
    data = encoded(sine(1.0, rate_hz=44100), container, "aac", tracks=2)
    names = [b"A_AAC"] if container == "matroska" else [b"mp4a", b"esds"]
    for name in names:
        data = data.replace(name, b"A_XYZ"[: len(name)], 1)
    audio = read(data)
    assert loudest_hz(audio.samples, audio.sample_rate_hz) == pytest.approx(440, abs=3)
    for name in names:
        data = data.replace(name, b"A_XYZ"[: len(name)])
    with pytest.raises(AudioError, match="not readable here; export it as wav"):
        read(data)


@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100])
@pytest.mark.parametrize("duration_s", [0.3, 1.0])
def test_mp3_has_the_length_that_its_first_frame_tells(rate_hz: int, duration_s: float) -> None:
    data = file_bytes(sine(duration_s, rate_hz=rate_hz), "mp3")
    assert declared_s(data) == pytest.approx(duration_s, abs=1e-6)
    assert read(data).duration_s == pytest.approx(duration_s, abs=1e-6)


def test_damage_in_the_middle_of_an_mp3_is_passed_over() -> None:
    data = file_bytes(noise(2.0, 0.1, 2), "mp3")
    middle = len(data) // 2
    audio = read(data[:middle] + b"\x55" * 700 + data[middle:])
    assert audio.duration_s == pytest.approx(2.0, abs=0.1)


def test_nothing_is_written_to_stderr(tmp_path: Path) -> None:
    """libmpg123 and FFmpeg warn there, past Python."""
    for index, data in enumerate(
        [id3(30) + id3(9) + MP3, MP3[: len(MP3) // 2], b"junk \xff\xfb" * 99 + MP3, MP3 + MP3[:99]]
    ):
        (tmp_path / f"{index}.mp3").write_bytes(data)
    code = (
        "import sys, pathlib\n"
        "from toccata.audio.files import read\n"
        "from toccata.errors import AudioError\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try: read(path)\n"
        "    except AudioError: pass\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stderr == ""


@pytest.mark.parametrize("container", ["ogg", "flac", "wav", "mp4"])
def test_surround_comes_in_the_order_of_wav(container: str) -> None:
    """Left, right, centre, low, back left, back right."""
    codec = {"ogg": "libopus", "flac": "flac", "wav": "pcm_s16le", "mp4": "aac"}[container]
    time_s = np.arange(48000) / 48000
    pitches = np.array([300, 400, 500, 40, 700, 800])
    samples = 0.1 * np.sin(2 * np.pi * pitches[:, None] * time_s)
    data = encoded(Waveform(samples.astype(np.float32), 48000), container, codec)
    audio = read(data)
    assert [round(loudest_hz(one[None, 4800:43200], 48000)) for one in audio.samples] == list(
        pitches
    )


@pytest.mark.parametrize("channels", [3, 5, 6, 8])
def test_ogg_brings_every_channel_back_to_its_place(channels: int) -> None:
    pitches = 300 + 100 * np.arange(channels)
    pitches[3:4] = 60  # of six and eight the fourth has low frequencies alone
    samples = 0.1 * np.sin(2 * np.pi * pitches[:, None] * np.arange(48000) / 48000)
    audio = read(file_bytes(Waveform(samples.astype(np.float32), 48000), "ogg"))
    assert [round(loudest_hz(one[None], 48000)) for one in audio.samples] == list(pitches)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_all_links_of_a_joined_ogg_are_read(subtype: str) -> None:
    low, high = sine(gain=0.2, rate_hz=48000), sine(1.0, rate_hz=48000)
    files = [libsndfile_bytes(one, "OGG", subtype) for one in (low, high)]
    joined = read(b"".join(files))
    alone = np.concatenate([read(one).samples for one in files], axis=1)
    assert np.array_equal(joined.samples, alone)
    part = read(b"".join(files), start_s=low.duration_s + 0.1)
    assert part.duration_s == pytest.approx(high.duration_s - 0.1, abs=0.01)


def test_what_is_left_out_of_a_joined_ogg_is_said() -> None:
    said: list[str] = []
    files = [libsndfile_bytes(sine(rate_hz=rate), "OGG", "VORBIS") for rate in (48000, 32000)]
    read(b"".join(files), warn=said.append)
    assert "rate or channels change" in said[0]
