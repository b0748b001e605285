"""Wrong arguments of the library are told by name, and numbers of numpy are numbers."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.audio.sounds import sine
from tests.fakes import SAMPLE_RATE_HZ, fake_model
from toccata.audio.waveform import Waveform
from toccata.devices import pick_device
from toccata.errors import AudioError, InputError, InputErrors
from toccata.generation.handle import Toccata, load
from toccata.generation.request import GenerationRequest


@pytest.fixture(scope="module")
def toccata() -> Toccata:
    return Toccata(fake_model())


@pytest.mark.parametrize(
    "wanted", ["piano", {"prompt": "x"}, GenerationRequest(prompt="x"), b"x", 5, None]
)
def test_one_request_is_no_batch(toccata: Toccata, wanted: Any) -> None:
    with pytest.raises(InputError, match=r"^wanted:? .*give a list of"):
        toccata.generate_batch(wanted)


@pytest.mark.parametrize("item", [5, None, b"x", ["x"]])
def test_a_batch_names_the_item_that_is_no_request(toccata: Toccata, item: Any) -> None:
    with pytest.raises(InputErrors, match=r"^wanted\[1\]:? .*a prompt") as caught:
        toccata.generate_batch(["a", item, {"top_k": -1}])
    assert [problem.field for problem in caught.value.problems] == [
        "wanted[1]",
        "wanted[2].top_k",
    ]


@pytest.mark.parametrize("slots", [0, -1, 10**9, "2", 1.5, True, None])
def test_slots_that_cannot_be_are_refused_before_anything_is_loaded(slots: Any) -> None:
    with pytest.raises(InputError, match=r"^slots:? "):
        load("no such model", slots=slots)
    with pytest.raises(InputError, match=r"^slots:? "):
        Toccata(fake_model(), slots)


@pytest.mark.parametrize("name", [None, 5, b"mini"])
def test_what_names_no_model_is_refused(name: Any) -> None:
    with pytest.raises(InputError, match=r"^name:? .*a folder"):
        load(name)


@pytest.mark.parametrize("chunk_s", [0, -1.0, float("nan"), float("inf"), "1", None, True])
def test_pieces_that_cannot_be_are_refused(toccata: Toccata, chunk_s: Any) -> None:
    with pytest.raises(InputError, match=r"^chunk_s:? .*more than 0 seconds"):
        toccata.stream("piano", chunk_s=chunk_s)


def test_numbers_of_numpy_are_as_good_as_pythons(toccata: Toccata) -> None:
    plain: dict[str, Any] = {
        "duration_s": 2.5,
        "seed": 7,
        "top_k": 5,
        "top_p": 0.5,
        "temperature": 0.5,
        "cfg": 2.0,
        "stride_s": 0.5,
        "fade_in_s": 0.25,
    }
    exact: dict[str, Any] = {
        name: np.int64(value) if isinstance(value, int) else np.float32(value)
        for name, value in plain.items()
    }
    expected, clip = (toccata.generate("piano", **options) for options in (plain, exact))
    np.testing.assert_array_equal(clip.samples, expected.samples)
    assert clip.tags == expected.tags
    assert type(clip.seed) is int
    short: Any = np.int16(-1)
    drawn = toccata.generate("piano", duration_s=np.float64(0.1), seed=short)
    assert drawn.seed >= 0
    pieces = toccata.stream("piano", duration_s=0.4, chunk_s=np.float32(0.2))  # type: ignore[arg-type]
    assert sum(piece.samples.shape[1] for piece in pieces) == round(0.4 * SAMPLE_RATE_HZ)
    single: Any = np.float32(0.3)
    narrow, wide = (toccata.generate("x", duration_s=s, seed=1) for s in (single, 0.3))
    assert np.array_equal(narrow.samples, wide.samples)
    assert Toccata(fake_model(), np.int64(2)).generate("x", duration_s=0.1)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [np.bool_(True), np.float32("nan"), np.int64(-2), np.array([1])])
def test_other_values_of_numpy_are_refused(toccata: Toccata, wrong: Any) -> None:
    for name in ("duration_s", "seed", "top_k", "stride_s"):
        with pytest.raises(InputErrors, match=f"^{name}"):
            toccata.generate("piano", **{name: wrong})


def test_a_device_may_be_one_of_torchs() -> None:
    assert pick_device(torch.device("cpu")) == torch.device("cpu")
    assert load(device=torch.device("cpu")).model.device.type == "cpu"
    with pytest.raises(InputError, match=r"^device: 'meta'"):
        pick_device(torch.device("meta"))


@pytest.mark.parametrize("format", ["mp3", "flac", "ogg"])
def test_a_format_that_the_suffix_contradicts_is_refused(format: str, tmp_path: Path) -> None:
    clip = sine(0.1)
    with pytest.raises(InputError, match=r"^format: .*q\.WAV ends in \.wav"):
        clip.save(tmp_path / "q.WAV", format=format)
    assert not list(tmp_path.iterdir())
    for name in (f"q.{format}", "q", "q.part"):
        assert clip.save(tmp_path / name, format=format) == tmp_path / name


@pytest.mark.parametrize("name", ["fade_in_s", "fade_out_s"])
def test_a_fade_without_end_is_refused_before_composing(toccata: Toccata, name: str) -> None:
    with pytest.raises(InputErrors, match=rf"^wanted\[0\]\.{name}: inf"):
        toccata.generate_batch([{"prompt": "piano", name: math.inf}])


def test_a_closed_file_cannot_be_saved_to() -> None:
    file = io.BytesIO()
    file.close()
    with pytest.raises(InputError, match=r"^target: .*it is closed"):
        sine(0.1).save(file)


LONG = "x" * 300


def names(field: str, problem: str, call: Callable[[], object]) -> None:
    with pytest.raises(InputError, match=rf"^{field}:? ") as caught:
        call()
    assert problem in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("name", [LONG, f"/{LONG}/x", f"./{LONG}", ""])
def test_names_of_files_that_cannot_be(toccata: Toccata, name: str) -> None:
    problem = "too long" if name else "empty text"
    names("name", problem, lambda: load(name))
    names("lora", problem, lambda: load(lora=name))
    names("melody", problem, lambda: toccata.generate("x", melody=name))
    names("continue_from", problem, lambda: toccata.generate("x", continue_from=name))
    names("audio", problem, lambda: toccata.encode_decode(name))
    names("target", problem, lambda: sine().save(name))


@pytest.mark.parametrize("address", ["http://a.b/c.wav", "HTTPS://a.b/c", "data:,x", "s3://b/c"])
def test_the_library_takes_files_and_no_addresses(toccata: Toccata, address: str) -> None:
    names("melody", "is an address", lambda: toccata.generate("x", melody=address))
    names("audio", "is an address", lambda: toccata.encode_decode(address))


@pytest.mark.parametrize(
    "lora",
    [5, [5], b"a.safetensors", ["a", None], {"a": 50}, {}, ("a", 50), [("a", 50)], {"a"}, [b"a"]],
)
def test_what_names_no_lora(lora: Any) -> None:
    names("lora", "the path of a LoRA", lambda: load(lora=lora))


@pytest.mark.parametrize("offline", ["no", 0, 1])
def test_offline_is_a_boolean(offline: Any) -> None:
    names("offline", "True or False", lambda: load(offline=offline))


@pytest.mark.parametrize("name", ["a\0b.wav", "a\udc80\ud800.wav"])
def test_names_that_no_file_can_have(name: str, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="cannot be written"):
        sine().save(tmp_path / name)


@pytest.mark.parametrize(
    ("field", "options"), [("bit_depth", {"bit_depth": 16.0}), ("format", {"format": ""})]
)
def test_options_of_files_that_cannot_be(field: str, options: dict[str, Any]) -> None:
    names(field, "use", lambda: sine().save(io.BytesIO(), **options))


def test_what_a_listener_does_to_its_audio_does_not_change_the_clip(toccata: Toccata) -> None:
    def on_audio(piece: Waveform) -> None:
        piece.samples[:] = 0

    clips = [
        toccata.generate("piano", duration_s=0.5, seed=1, normalization="clip", on_audio=listener)
        for listener in (None, on_audio)
    ]
    assert np.array_equal(clips[0].samples, clips[1].samples)


def test_a_link_in_a_circle_cannot_be_saved_to(tmp_path: Path) -> None:
    (tmp_path / "x.wav").symlink_to("x.wav")
    with pytest.raises(AudioError, match=r"x\.wav: cannot be written"):
        sine().save(tmp_path / "x.wav")


@pytest.mark.parametrize("name", ["on_progress", "on_audio", "cancel"])
def test_what_cannot_be_called(toccata: Toccata, name: str) -> None:
    wrong: dict[str, Any] = {name: 5}
    names(name, "give a function", lambda: toccata.generate("x", **wrong))
    if name != "on_audio":
        names(name, "give a function", lambda: toccata.generate_batch(["x"], **wrong))
        names(name, "give a function", lambda: toccata.generate_each(["x"], **wrong))


@pytest.mark.parametrize("format", ["mp3", "ogg"])
@pytest.mark.parametrize("bitrate", ["96", True, [96], float("nan")])
def test_a_bitrate_that_is_no_number(format: str, bitrate: Any) -> None:
    names(
        "bitrate_kbps",
        "is not valid",
        lambda: sine().save(io.BytesIO(), format, bitrate_kbps=bitrate),
    )


def test_checked_values_are_those_of_the_tags(toccata: Toccata) -> None:
    seed: Any = 7.0
    clip = toccata.generate("  piano ", duration_s=0.1, seed=seed)
    assert (clip.prompt, clip.tags["seed"], type(clip.seed)) == ("piano", "7", int)
    assert toccata.generate("  ", duration_s=0.1).prompt == ""


def test_a_seed_that_no_float_can_hold_is_refused(toccata: Toccata) -> None:
    seed: Any = float(2**53 + 2)
    with pytest.raises(InputError, match="seed"):
        toccata.generate("piano", duration_s=0.1, seed=seed)


@pytest.mark.parametrize("rate", [0, -5, 1, "x", 44100.5, 2**33, None, True])
@pytest.mark.parametrize("format", ["wav", "flac", "ogg"])
def test_a_rate_that_no_file_can_have(rate: Any, format: str) -> None:
    audio = Waveform(np.zeros((1, 999), np.float32), rate)
    names("waveform", "sample_rate_hz", lambda: audio.save(io.BytesIO(), format))


@pytest.mark.parametrize("samples", [[0.0] * 9, None, "x"])
def test_samples_that_are_no_array(samples: Any) -> None:
    names("waveform", "numpy array", lambda: Waveform(samples, 32000).save(io.BytesIO()))


def test_a_saved_file_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "private.wav"
    sine().save(path)
    path.chmod(0o600)
    sine().save(path)
    assert path.stat().st_mode & 0o777 == 0o600
