import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.audio.damaged import flac_of_unknown_length
from tests.audio.sounds import (
    FOREIGN,
    RATE_HZ,
    file_bytes,
    foreign_bytes,
    libsndfile_bytes,
    loudest_hz,
    noise,
    sine,
)
from toccata.audio.files import declared_values, read, write
from toccata.audio.waveform import Waveform
from toccata.errors import AudioError, InputError
from toccata.generation.clip import Clip

EXAMPLES = Path(__file__).parents[2] / "docs" / "gallery" / "clips"
STEP_16 = 2.0**-15


@settings(max_examples=30, deadline=None)
@given(
    channels=st.integers(1, 8),
    length=st.integers(1, 3000),
    rate_hz=st.sampled_from([8000, 32000, 44100, 96000]),
    form=st.sampled_from([("wav", 16), ("wav", 24), ("wav", 32), ("flac", 16), ("flac", 24)]),
)
def test_lossless_formats_give_back_every_sample(
    channels: int, length: int, rate_hz: int, form: tuple[str, int]
) -> None:
    samples = np.random.default_rng(length).uniform(-1, 1, (channels, length)).astype(np.float32)
    name, bit_depth = form
    again = read(file_bytes(Waveform(samples, rate_hz), name, bit_depth=bit_depth))
    assert again.sample_rate_hz == rate_hz
    tolerance = 0.0 if bit_depth == 32 else 2.0**-bit_depth + 2.0 ** (1 - bit_depth)
    np.testing.assert_allclose(again.samples, samples, atol=tolerance, rtol=0)


@pytest.mark.parametrize("format", ["mp3", "ogg"])
@pytest.mark.parametrize("channels", [1, 2])
def test_lossy_formats_keep_length_place_and_sound(format: str, channels: int) -> None:
    """libsndfile cuts the encoder's delay off again, so an mp3 comes back in its place."""
    tone = sine(1.0, channels=channels)
    again = read(file_bytes(tone, format))
    assert again.samples.shape == tone.samples.shape
    assert np.abs(again.samples - tone.samples)[:, 2000:-2000].max() < 0.02


@pytest.mark.parametrize("kind", FOREIGN)
def test_files_of_other_programs(kind: str) -> None:
    decoded = read(foreign_bytes(kind, 1.0))
    assert decoded.samples.dtype == np.float32
    assert (decoded.channels, decoded.sample_rate_hz) == (2, FOREIGN[kind][2])
    assert decoded.duration_s == pytest.approx(1.0, abs=0.06)
    assert loudest_hz(decoded.samples, decoded.sample_rate_hz) == pytest.approx(440, abs=2)
    assert np.abs(decoded.samples[1]).max() == pytest.approx(0.25, abs=0.05)


def test_m4a_comes_without_its_encoders_padding() -> None:
    assert read(foreign_bytes("m4a", 1.0)).samples.shape == (2, 44100)


@pytest.mark.parametrize(
    ("format", "subtype"),
    [
        ("WAV", "PCM_U8"),
        ("WAV", "PCM_32"),
        ("WAV", "DOUBLE"),
        ("WAV", "ULAW"),
        ("WAVEX", "PCM_24"),
        ("RF64", "PCM_16"),
        ("AIFF", "PCM_16"),
    ],
)
def test_integer_and_float_kinds(format: str, subtype: str) -> None:
    decoded = read(libsndfile_bytes(sine(), format, subtype))
    np.testing.assert_allclose(decoded.samples, sine().samples, atol=0.02)


def test_floats_over_full_scale_are_kept() -> None:
    loud = sine(gain=2.0)
    np.testing.assert_array_equal(read(file_bytes(loud, "wav", bit_depth=32)).samples, loud.samples)


def test_integers_are_held_at_full_scale_and_never_wrap() -> None:
    again = read(file_bytes(sine(gain=2.0), "wav")).samples
    assert again.max() == 1.0 - STEP_16
    assert again.min() == -1.0


@pytest.mark.parametrize("format", ["wav", "flac", "ogg", "mp3"])
def test_a_part_is_what_cutting_gives(format: str) -> None:
    data = file_bytes(noise(1.0, 0.1), format)
    part = read(data, start_s=0.25, end_s=0.5)
    np.testing.assert_array_equal(part.samples, read(data).samples[:, 8000:16000])
    assert read(data, start_s=0.75, end_s=99).duration_s == pytest.approx(0.25)


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3"])
def test_headers_tell_how_much_is_read(kind: str) -> None:
    data = file_bytes(sine(3.0, channels=2), kind)
    for start_s, end_s in ((0.0, None), (1.0, None), (1.0, 2.0), (2.5, 9.0), (5.0, None)):
        declared = declared_values(data, start_s=start_s, end_s=end_s, max_rate_hz=16_000)
        assert declared is not None
        held = 0
        if start_s < 3:
            part = read(data, start_s=start_s, end_s=end_s, max_rate_hz=16_000)
            held = part.samples.size
        assert declared == pytest.approx(held, rel=0.01, abs=3200)


def test_a_stream_of_unknown_length_has_none_in_its_header() -> None:
    assert declared_values(flac_of_unknown_length(file_bytes(sine(), "flac"))) is None


def test_a_part_that_is_not_there() -> None:
    with pytest.raises(AudioError, match=r"is 0\.50 s long"):
        read(file_bytes(sine(), "wav"), start_s=0.5)
    with pytest.raises(InputError, match="end_s"):
        read(file_bytes(sine(), "wav"), start_s=0.4, end_s=0.3)


def test_paths_bytes_and_file_objects_are_alike(tmp_path: Path) -> None:
    path = tmp_path / "tone.flac"
    write(path, sine())
    data = path.read_bytes()
    for source in (path, str(path), data, io.BytesIO(data)):
        assert read(source).samples.shape == (2, 16000)


def test_the_name_does_not_matter_for_reading(tmp_path: Path) -> None:
    path = tmp_path / "tone.mp3"
    path.write_bytes(file_bytes(sine(), "wav"))
    assert read(path).samples.shape == (2, 16000)


@pytest.mark.parametrize(("bitrate_kbps", "rate_hz"), [(320, 32000), (128, 44100), (32, 48000)])
def test_mp3_has_the_bitrate_asked_for(bitrate_kbps: int, rate_hz: int) -> None:
    size = len(file_bytes(sine(4.0, rate_hz=rate_hz), "mp3", bitrate_kbps=bitrate_kbps))
    assert size * 8 / 4.0 / 1000 == pytest.approx(bitrate_kbps, rel=0.05)


@pytest.mark.parametrize(("channels", "kbps"), [(1, 192), (2, 320)])
def test_mp3_takes_as_much_as_its_channels_need(channels: int, kbps: int) -> None:
    size = len(file_bytes(sine(4.0, rate_hz=32000, channels=channels), "mp3"))
    assert size * 8 / 4.0 / 1000 == pytest.approx(kbps, rel=0.05)


def test_ogg_heeds_a_bitrate() -> None:
    music = read(EXAMPLES / "lo-fi.mp3", end_s=4.0)
    for kbps in (64, 96, 192):
        size = len(file_bytes(music, "ogg", bitrate_kbps=kbps))
        assert size * 8 / music.duration_s / 1000 == pytest.approx(kbps, rel=0.3)


def test_minutes_of_ogg_are_written() -> None:
    silence = Waveform(np.zeros((2, 180 * 8000), np.float32), 8000)
    assert read(file_bytes(silence, "ogg")).samples.shape == silence.samples.shape


def test_a_clip_is_saved_by_its_suffix(tmp_path: Path) -> None:
    clip = Clip(sine().samples, RATE_HZ, prompt="a tone")
    for suffix in ("wav", "mp3", "flac", "OGG"):
        assert read(clip.save(tmp_path / f"tone.{suffix}")).duration_s == pytest.approx(0.5)
    with pytest.raises(AudioError, match=r"\.aiff.*\.wav, \.mp3, \.flac, \.ogg"):
        clip.save(tmp_path / "tone.aiff")


@pytest.mark.parametrize(
    ("format", "options", "field"),
    [
        ("aiff", {}, "format"),
        ("wav", {"bit_depth": 8}, "bit_depth"),
        ("flac", {"bit_depth": 32}, "bit_depth"),
        ("mp3", {"bitrate_kbps": 321}, "bitrate_kbps"),
        ("ogg", {"bitrate_kbps": 0}, "bitrate_kbps"),
        ("wav", {"bitrate_kbps": 128}, "bitrate_kbps"),
        ("flac", {"bitrate_kbps": 128}, "bitrate_kbps"),
        ("mp3", {"bit_depth": 16}, "bit_depth"),
        ("ogg", {"bit_depth": 24}, "bit_depth"),
    ],
)
def test_wrong_options_are_named(format: str, options: dict[str, int], field: str) -> None:
    with pytest.raises(InputError) as caught:
        file_bytes(sine(), format, **options)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("waveform", "format", "words"),
    [
        (sine(channels=3), "mp3", "at most 2 channels"),
        (sine(channels=9), "flac", "at most 8 channels"),
        (sine(rate_hz=96000), "mp3", "resample to 48000 Hz"),
        (Waveform(np.zeros((2, 0), np.float32), RATE_HZ), "wav", "no audio to write"),
        (Waveform(np.full((1, 9), np.nan, np.float32), RATE_HZ), "wav", "not numbers"),
    ],
)
def test_audio_that_a_format_cannot_hold(waveform: Waveform, format: str, words: str) -> None:
    with pytest.raises(AudioError, match=words):
        file_bytes(waveform, format)


def test_a_failed_write_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tone.wav"
    path.write_bytes(b"before")

    def full_disk(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(AudioError, match=r"tone\.wav.*No space left"):
        write(path, sine())
    assert [file.name for file in tmp_path.iterdir()] == ["tone.wav"]
    assert path.read_bytes() == b"before"


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="No such file or directory"):
        write(tmp_path / "nowhere" / "tone.wav", sine())
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(AudioError, match="is a folder"):
        write(tmp_path / "folder.wav", sine())


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.wav", tmp_path / "link.wav"
    link.symlink_to(real)
    write(link, sine())
    assert link.is_symlink()
    assert read(real).duration_s == 0.5
