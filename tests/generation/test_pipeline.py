import gc
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import HOP, SAMPLE_RATE_HZ, SineCodec, fake_model, tone
from toccata.analysis.key import Key
from toccata.audio.files import read
from toccata.audio.waveform import Waveform
from toccata.conditioners.beats import Beats
from toccata.errors import (
    AudioError,
    CancelledError,
    ClosedError,
    GenerationError,
    InputError,
    InputErrors,
)
from toccata.generation.clip import Clip, Progress
from toccata.generation.handle import Toccata
from toccata.generation.request import GenerationRequest

RAW: dict[str, Any] = {
    "normalization": "clip"
}  # the fake codec stays below the ceiling: nothing is changed


@pytest.fixture(scope="module")
def toccata() -> Toccata:
    return Toccata(fake_model())


def joined(chunks: list[Waveform]) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.concatenate([chunk.samples for chunk in chunks], axis=1)


@pytest.mark.parametrize("duration_s", [0.1, 0.5, 0.777, 1.0, 2.5])
def test_a_clip_lasts_exactly_as_long_as_asked(toccata: Toccata, duration_s: float) -> None:
    clip = toccata.generate("piano", duration_s=duration_s, seed=3)
    assert clip.samples.shape == (1, round(duration_s * SAMPLE_RATE_HZ))
    assert clip.samples.dtype == np.float32
    assert clip.sample_rate_hz == SAMPLE_RATE_HZ


def test_a_clip_says_how_to_make_it_again(toccata: Toccata) -> None:
    clip = toccata.generate("piano", duration_s=0.5, cfg=2.5)
    assert (clip.prompt, clip.model) == ("piano", "fake")
    assert clip.parameters["cfg"] == "2.5"
    assert clip.parameters["normalization"] == "loudness"
    again = toccata.generate("piano", duration_s=0.5, cfg=2.5, seed=clip.seed)
    assert np.array_equal(again.samples, clip.samples)


@pytest.mark.parametrize("seed", [None, -1])
def test_no_seed_draws_one(toccata: Toccata, seed: int | None) -> None:
    drawn = {toccata.generate("piano", duration_s=0.1, seed=seed).seed for _ in range(3)}
    assert len(drawn) == 3
    assert min(drawn) >= 0


def test_seed_0_is_a_seed(toccata: Toccata) -> None:
    first, second = (toccata.generate("piano", duration_s=0.3, seed=0) for _ in range(2))
    assert first.seed == second.seed == 0
    assert np.array_equal(first.samples, second.samples)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from([0.02, 0.13, 0.5, 9.0]), st.sampled_from([0.1, 0.55, 2.3]), st.booleans())
def test_a_stream_is_the_whole_clip_in_pieces(chunk_s: float, duration_s: float, on: bool) -> None:
    toccata = Toccata(fake_model())
    options: dict[str, Any] = {"duration_s": duration_s, "seed": 5}
    if on:
        quiet = np.float32(0.02) * tone(0.4).samples
        options["continue_from"] = Waveform(quiet, SAMPLE_RATE_HZ)
    chunks = list(toccata.stream("piano", chunk_s=chunk_s, **options))
    whole = toccata.generate("piano", **RAW, **options)
    np.testing.assert_allclose(joined(chunks), whole.samples, atol=1e-4, rtol=0)


def test_a_stream_starts_before_the_clip_is_done(toccata: Toccata) -> None:
    stream = toccata.stream("piano", chunk_s=0.1, duration_s=60)
    first = next(stream)
    assert 0 < first.duration_s <= 0.1
    stream.close()
    assert not toccata._engine.step(), "closing the stream ends its request"


def test_a_batch_gives_what_each_gives_alone(toccata: Toccata) -> None:
    requests: list[dict[str, Any]] = [
        {"prompt": "piano", "duration_s": 0.4, "seed": 1},
        {"prompt": "fast drums", "duration_s": 1.7, "seed": 2, "cfg": 1.0},
        {"prompt": "a b c", "duration_s": 0.2, "seed": 3, "continue_from": tone(0.3)},
    ]
    for clip, one in zip(toccata.generate_batch(requests), requests, strict=True):
        assert np.array_equal(clip.samples, toccata.generate(**one).samples)
    by_prompt = toccata.generate_batch(["piano", GenerationRequest(prompt="drums", duration_s=0.2)])
    assert [clip.prompt for clip in by_prompt] == ["piano", "drums"]


def test_progress_goes_up_to_the_end_and_cancel_ends_it(toccata: Toccata) -> None:
    seen: list[Progress] = []
    toccata.generate("piano", duration_s=0.5, on_progress=seen.append)
    done = [progress.done_frames for progress in seen]
    assert done == sorted(done)
    assert seen[-1] == Progress(25, 25)
    with pytest.raises(CancelledError):
        toccata.generate_batch(["piano"] * 12, cancel=lambda: True)
    assert not toccata._engine.step()


def test_the_users_own_samples_are_kept_and_the_seam_does_not_click(toccata: Toccata) -> None:
    given_clip = tone(0.73)
    length = given_clip.samples.shape[1]
    clip = toccata.generate("piano", duration_s=0.5, continue_from=given_clip, seed=1, **RAW)
    assert clip.samples.shape[1] == length + 0.5 * SAMPLE_RATE_HZ
    assert np.array_equal(clip.samples[:, :length], given_clip.samples)
    step = abs(clip.samples[0, length] - clip.samples[0, length - 1])
    usual = np.abs(np.diff(clip.samples[0])).max()
    assert step <= usual


def test_what_is_continued_matters(toccata: Toccata) -> None:
    clips = [
        toccata.generate("piano", duration_s=0.5, continue_from=tone(0.6, pitch), seed=1, **RAW)
        for pitch in (100.0, 330.0)
    ]
    new = slice(round(0.7 * SAMPLE_RATE_HZ), None)
    assert not np.array_equal(clips[0].samples[:, new], clips[1].samples[:, new])


@pytest.mark.parametrize(
    ("given_clip", "channels"),
    [(tone(0.5, channels=2), 2), (tone(0.1), 1), (tone(3.0), 1)],
    ids=["stereo", "as short as can be", "longer than a segment"],
)
def test_any_clip_can_be_continued(toccata: Toccata, given_clip: Waveform, channels: int) -> None:
    length = given_clip.samples.shape[1]
    clip = toccata.generate(duration_s=0.5, continue_from=given_clip, seed=1, **RAW)
    assert clip.samples.shape == (channels, length + SAMPLE_RATE_HZ // 2)
    assert np.array_equal(clip.samples[:, :length], given_clip.samples)


def test_a_clip_of_another_rate_is_continued_at_the_models() -> None:
    toccata = Toccata(fake_model(channels=2))
    given_clip = Waveform(tone(0.5).samples, 2 * SAMPLE_RATE_HZ)
    clip = toccata.generate(duration_s=0.5, continue_from=given_clip, seed=1)
    assert clip.samples.shape == (2, SAMPLE_RATE_HZ * 3 // 4)


def test_an_empty_clip_cannot_be_continued(toccata: Toccata) -> None:
    with pytest.raises(InputError, match=r"continue_from.*at least 0\.1 s"):
        toccata.generate(continue_from=Waveform(np.zeros((1, 0), np.float32), SAMPLE_RATE_HZ))


def test_the_melody_is_followed_from_window_to_window(monkeypatch: pytest.MonkeyPatch) -> None:
    model = fake_model(melody=True)
    toccata = Toccata(model)
    low, high = (
        toccata.generate("x", duration_s=0.5, seed=1, melody=tone(1.0, pitch)).samples
        for pitch in (110.0, 180.0)
    )
    assert not np.array_equal(low, high)
    starts: list[float | None] = []
    conditions = model.conditions

    def listen(
        prompt: str | None,
        melody: Waveform | None,
        start_s: float | None = None,
        beats: Beats | None = None,
        key: Key | None = None,
    ) -> object:
        starts.append(start_s)
        return conditions(prompt, melody, start_s, beats, key)

    monkeypatch.setattr(model, "conditions", listen)
    toccata.generate("x", duration_s=2.0, stride_s=0.5, seed=1, melody=tone(1.3))
    assert starts == [0.0, 0.5, 1.0]


def test_a_model_without_melodies_says_so(toccata: Toccata) -> None:
    with pytest.raises(InputError, match="melody"):
        toccata.generate("x", melody=tone(1.0))
    assert not toccata._engine.step()


def test_audio_may_be_samples_and_their_rate(toccata: Toccata) -> None:
    audio = tone(0.5)
    expected = toccata.generate(continue_from=audio, duration_s=0.3, seed=1).samples
    pair = (torch.from_numpy(audio.samples), audio.sample_rate_hz)
    found = toccata.generate(continue_from=pair, duration_s=0.3, seed=1).samples
    assert np.array_equal(found, expected)
    coded = toccata.encode_decode((audio.samples[0], audio.sample_rate_hz))
    assert np.array_equal(coded.samples, toccata.encode_decode(audio).samples)


def test_wrong_audio_is_told_with_all_other_problems(toccata: Toccata) -> None:
    wrong: Any = {"top_k": -1, "melody": np.zeros(5, np.float32), "continue_from": 7}
    with pytest.raises(InputErrors) as caught:
        toccata.generate("x", **wrong)
    assert [problem.field for problem in caught.value.problems] == [
        "melody",
        "continue_from",
        "top_k",
    ]
    with pytest.raises(InputError, match=r"audio.*give a Waveform"):
        toccata.encode_decode(7)  # type: ignore[arg-type]


def test_chunks_of_a_stream_can_be_saved(toccata: Toccata, tmp_path: Path) -> None:
    chunks = toccata.stream("piano", duration_s=0.5, chunk_s=0.2)
    paths = [chunk.save(tmp_path / f"{n}.wav") for n, chunk in enumerate(chunks)]
    assert sum(read(path).samples.shape[1] for path in paths) == SAMPLE_RATE_HZ // 2


def test_a_model_is_closed_at_the_end_of_its_block() -> None:
    with Toccata(fake_model()) as toccata:
        clip = toccata.generate("piano", duration_s=0.1)
        stream = toccata.stream("piano", duration_s=60, chunk_s=0.1)
        next(stream)
        freed = weakref.ref(toccata.model)
    assert clip.samples.size
    with pytest.raises(CancelledError):
        list(stream)
    with pytest.raises(ClosedError, match="fake is closed"):
        toccata.generate("piano")
    toccata.close()
    del stream
    gc.collect()
    assert freed() is None, "nothing holds the weights any more"


def test_audio_that_is_not_finite_is_an_error_with_a_cure(
    toccata: Toccata, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = SineCodec.decode

    def broken(codec: SineCodec, codes: torch.Tensor) -> torch.Tensor:
        return torch.full_like(decode(codec, codes), torch.nan)

    monkeypatch.setattr(SineCodec, "decode", broken)
    for make in (toccata.generate, lambda *given, **more: list(toccata.stream(*given, **more))):
        with pytest.raises(GenerationError, match="not finite; check its weights, or load it in"):
            make("piano", duration_s=0.2)
    [failed] = toccata.generate_each([{"prompt": "piano", "duration_s": 0.2}])
    assert isinstance(failed, GenerationError)


def test_a_batch_names_every_item_with_a_problem(toccata: Toccata) -> None:
    with pytest.raises(InputErrors) as caught:
        toccata.generate_batch(["piano", {"prompt": "x", "top_k": -1}, {"prompt": "x", "color": 1}])
    assert [problem.field for problem in caught.value.problems] == [
        "wanted[1].top_k",
        "wanted[2].color",
    ]
    first, second = str(caught.value).splitlines()
    assert first.startswith("wanted[1].top_k")
    assert second.startswith("wanted[2].color")


def test_a_batch_names_the_item_whose_audio_cannot_be_used(
    toccata: Toccata, tmp_path: Path
) -> None:
    with pytest.raises(AudioError, match=r"^wanted\[1\]: .*none\.wav"):
        toccata.generate_batch(["x", {"continue_from": tmp_path / "none.wav"}])
    with pytest.raises(InputError, match=r"^wanted\[1\]\.melody"):
        toccata.generate_batch(["x", {"prompt": "x", "melody": tone(1.0)}])
    assert not toccata._engine.step()


def test_audio_may_be_the_name_of_a_file(toccata: Toccata, tmp_path: Path) -> None:
    path = tmp_path / "given.wav"
    toccata.generate("piano", duration_s=0.5, seed=1).save(path, bit_depth=32)
    clip = toccata.generate(continue_from=path, duration_s=0.5)
    assert clip.duration_s == 1.0


def test_all_problems_are_told_at_once(toccata: Toccata) -> None:
    wrong: Any = {"top_k": 2.5, "seed": "x"}
    with pytest.raises(InputErrors) as caught:
        toccata.generate(
            "a\0",
            duration_s=float("nan"),
            temperature=-1,
            normalization="loud",
            stride_s=4000,
            fade_in_s=-1,
            **wrong,
        )
    assert [problem.field for problem in caught.value.problems] == [
        "prompt",
        "duration_s",
        "seed",
        "top_k",
        "temperature",
        "normalization",
        "stride_s",
        "fade_in_s",
    ]
    with pytest.raises(InputErrors, match=r"^stride_s.* at most 1, the model's segment"):
        toccata.generate("a", stride_s=40)
    with pytest.raises(InputError, match="duration_s"):
        toccata.generate_batch([{"prompt": "x", "duration": 3}])


def test_one_bad_brief_starts_nothing(toccata: Toccata) -> None:
    with pytest.raises(InputError):
        toccata.generate_batch([{"prompt": "x"}, {"prompt": "x", "melody": tone(1.0)}])
    assert not toccata._engine.step()


def test_fades_start_and_end_in_silence(toccata: Toccata) -> None:
    clip = toccata.generate("x", duration_s=0.5, fade_in_s=0.1, fade_out_s=0.1, seed=1)
    assert abs(clip.samples[0, 0]) < 1e-3
    assert abs(clip.samples[0, -1]) < 1e-3


@pytest.mark.parametrize("frames", [1, 7, 2000])
def test_encode_decode_keeps_any_length(toccata: Toccata, frames: int) -> None:
    samples = frames * HOP - 5
    given_clip = Waveform(np.zeros((2, samples), np.float32), SAMPLE_RATE_HZ)
    assert toccata.encode_decode(given_clip).samples.shape == (1, samples)


def test_encode_decode_can_be_canceled_between_blocks(toccata: Toccata) -> None:
    looks = iter([False, False, True])
    given_clip = Waveform(np.zeros((1, 2000 * HOP), np.float32), SAMPLE_RATE_HZ)
    with pytest.raises(CancelledError):
        toccata.encode_decode(given_clip, cancel=lambda: next(looks))


def test_encode_decode_of_nothing_says_so(toccata: Toccata) -> None:
    with pytest.raises(InputError, match="empty"):
        toccata.encode_decode(Waveform(np.zeros((1, 0), np.float32), SAMPLE_RATE_HZ))


def test_threads_share_a_model(toccata: Toccata) -> None:
    alone = [toccata.generate("x", duration_s=0.4, seed=seed).samples for seed in range(3)]
    shared: dict[int, Any] = {}

    def work(seed: int) -> None:
        chunks = list(toccata.stream("x", duration_s=0.4, seed=seed))
        shared[seed] = toccata.generate("x", duration_s=0.4, seed=seed).samples, chunks

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(shared[seed][0], alone[seed]) for seed in range(3))
    assert all(joined(shared[seed][1]).shape == alone[seed].shape for seed in range(3))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_model_of_another_process_says_so(toccata: Toccata) -> None:
    child = os.fork()
    if child == 0:  # only os._exit may leave it: pytest is in here too
        try:
            toccata.generate("piano", duration_s=0.1)
        except GenerationError as error:
            os._exit(7 if "loaded in another process" in str(error) else 1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


FORKED = """
import os, sys, toccata
from toccata.errors import GenerationError
model = toccata.load("mini", device="cpu")
stream = model.stream("piano", duration_s=3.0, seed=1)
next(stream)
each = model.generate_each(["piano"] * 2)
if os.fork() == 0:
    for call in (lambda: toccata.load("mini"), lambda: next(stream), lambda: next(each)):
        try:
            call()
        except GenerationError as error:
            print(error, flush=True)
    os._exit(0)
os.wait()
next(stream)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_neither_loads_nor_goes_on_with_what_was_begun() -> None:
    command = [sys.executable, "-c", FORKED]
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=True, timeout=240
    )
    said = done.stdout.splitlines()
    assert len(said) == 3
    assert all("start processes by spawn" in line for line in said)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, CancelledError])
def test_what_is_finished_when_a_batch_is_stopped_is_not_lost(stop: type[BaseException]) -> None:
    requests = [{"prompt": "a", "duration_s": seconds} for seconds in (3.0, 0.1, 3.0, 0.1)]

    def on_progress(progress: Progress) -> None:
        if progress.done_frames > 50:
            raise stop

    got = list[object]()
    with Toccata(fake_model()) as toccata:
        with pytest.raises(stop):
            got.extend(toccata.generate_each(requests, on_progress=on_progress))
        assert [type(output) for output in got] == [CancelledError, Clip, CancelledError, Clip]
        with pytest.raises(stop):
            toccata.generate_batch(requests, on_progress=on_progress)
        assert toccata.generate("a", duration_s=0.1).duration_s == pytest.approx(0.1)


def test_a_copy_with_wrong_values_is_refused(toccata: Toccata) -> None:
    copy = GenerationRequest(prompt="x").model_copy(update={"duration_s": -5})
    with pytest.raises(InputErrors, match="duration_s"):
        toccata.generate_batch([copy])


def test_a_resolved_request_gives_the_same_clip(toccata: Toccata) -> None:
    resolved = toccata.resolve({"prompt": "x", "duration_s": 0.2})
    assert resolved.seed is not None
    first, second = toccata.generate_batch([resolved, resolved])
    assert np.array_equal(first.samples, second.samples)
