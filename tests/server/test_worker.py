"""The real worker, with a tiny model: what it makes, and what it says of it."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile

from tests.audio.damaged import wav_with_size
from tests.fakes import SineCodec, fake_model
from toccata.generation.clip import Clip
from toccata.generation.handle import Toccata
from toccata.generation.schema import MAX_SEED
from toccata.server.hosted_inputs import EXTENDED, read_inputs
from toccata.server.worker.main import MAX_INPUT_BYTES, Worker, run
from toccata.server.worker.protocol import Job, Message, seeds_of
from toccata.settings import Settings, wait_as_by_default

RATE_HZ = 16_000  # mp3 has no rate as low as the fake's
INPUTS: dict[str, Any] = {
    "model_version": "fake", "prompt": "piano", "duration": 0.5, "normalization_strategy": "clip",
    "seed": 7,
}  # fmt: skip
SCHEMA = EXTENDED.changed(model_version={"choices": ("fake", "encode-decode")})


class Ear:
    """The server's end of the pipe: it only listens."""

    def __init__(self) -> None:
        self.heard: list[Message] = []

    def send_bytes(self, data: bytes) -> None:
        kind, prediction_id, more = json.loads(data)
        self.heard.append(Message(kind, prediction_id, more))

    def recv_bytes(self) -> bytes:
        raise EOFError


@pytest.fixture
def working() -> Iterator[tuple[Worker, Ear]]:
    ear = Ear()
    worker = Worker(ear, Settings(slots=4))
    model = fake_model()
    assert isinstance(model.codec, SineCodec)
    model.codec.sample_rate_hz, model.codec.hop = RATE_HZ, RATE_HZ // 50
    worker._models["fake"] = Toccata(model, 4)
    yield worker, ear
    worker._threads.shutdown()


def test_models_are_there_before_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def load(name: str, **_: Any) -> Toccata:
        loaded.append(name)
        return Toccata(fake_model(), 4)

    monkeypatch.setattr("toccata.load", load)
    ear = Ear()
    Worker(ear, Settings(also=("melody", "large"))).load_models()
    assert loaded == ["mini", "melody", "large"]
    assert [message.kind for message in ear.heard] == ["ready"]


def test_a_lora_is_added_to_the_model_it_was_named_with(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: dict[str, Any] = {}

    def load(name: str, *, lora: tuple[str, ...], **_: Any) -> Toccata:
        loaded[name] = lora
        return Toccata(fake_model(), 4)

    monkeypatch.setattr("toccata.load", load)
    Worker(Ear(), Settings("small", also=("melody",), lora=("a:0.5",))).load_models()
    assert loaded == {"small": ("a:0.5",), "melody": ()}


def job(folder: Path, count: int = 1, **inputs: Any) -> Job:
    folder.mkdir()
    values = {**INPUTS, **inputs}
    checked = read_inputs(values, SCHEMA)
    return Job(
        "one", "fake", checked.model, checked.request, values["seed"], "wav", str(folder), count
    )


def made(working: tuple[Worker, Ear], job: Job) -> Message:
    """The last word on a job."""
    worker, ear = working
    worker._run(job)
    return ear.heard[-1]


def test_a_clip_and_what_is_measured_of_it(working: tuple[Worker, Ear], tmp_path: Path) -> None:
    began_s = time.monotonic()
    done = made(working, job(tmp_path / "one"))
    took_s = time.monotonic() - began_s
    assert (done.kind, done["files"]) == ("done", ["out.wav"])
    metrics = done["metrics"]
    assert (metrics["seed"], metrics["audio_s"]) == (7, 0.5)
    assert 0 <= metrics["first_audio_s"] < took_s
    assert "seeds" not in metrics
    assert soundfile.info(tmp_path / "one" / "live.wav").samplerate == RATE_HZ


def test_the_codec_alone_is_not_heard_before_its_end(
    working: tuple[Worker, Ear], tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "in.wav", [0.1] * RATE_HZ, RATE_HZ)
    whole = str(tmp_path / "in.wav")
    wanted = job(tmp_path / "one", model_version="encode-decode", input_audio=whole)
    done = made(working, wanted)
    assert done["files"] == ["out.wav"]
    assert "first_audio_s" not in done["metrics"]


def test_the_codec_alone_can_be_canceled(working: tuple[Worker, Ear], tmp_path: Path) -> None:
    whole = str(tmp_path / "in.wav")
    soundfile.write(whole, [0.0] * RATE_HZ, RATE_HZ)  # a warning comes once it is decoded
    worker, _ = working
    wanted = job(tmp_path / "one", model_version="encode-decode", input_audio=whole)
    say = worker._send

    def cancel_at_once(kind: str, prediction_id: str = "", **data: Any) -> None:
        say(kind, prediction_id, **data)
        if kind == "warning":
            worker._canceled.add(prediction_id)

    worker._send = cancel_at_once  # type: ignore[method-assign]
    assert made(working, wanted).kind == "canceled"


def test_what_is_wrong_with_audio_that_is_used_is_said(
    working: tuple[Worker, Ear], tmp_path: Path
) -> None:
    path = tmp_path / "in.wav"
    soundfile.write(path, [0.0] * RATE_HZ, RATE_HZ)
    path.write_bytes(wav_with_size(path.read_bytes(), 0))
    made(working, job(tmp_path / "one", continuation=True, input_audio=str(path)))
    said = [one["text"] for one in working[1].heard if one.kind == "warning"]
    assert len(said) == 2
    assert said[0].startswith("input_audio: its header leaves out")
    assert said[1].startswith("input_audio: the audio is silent")


@pytest.mark.parametrize(("owner", "stage"), [(Toccata, "generate"), (Clip, "save")])
def test_a_hang_before_the_first_step_or_after_the_last_is_told(
    working: tuple[Worker, Ear],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
    stage: str,
) -> None:
    worker, ear = working
    hung = threading.Event()
    monkeypatch.setattr(owner, stage, lambda *_, **__: hung.wait(60))
    monkeypatch.setattr("toccata.server.worker.main.STEPLESS_TIMEOUT_S", -1000.0)
    monkeypatch.setattr("toccata.server.worker.main.HEARTBEAT_INTERVAL_S", 0.01)
    worker._threads.submit(worker._run, job(tmp_path / "one"))
    worker.start_heartbeat()
    deadline_s = time.monotonic() + 30
    while not any((message.data or {}).get("stalled_s", 0) > 900 for message in list(ear.heard)):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    hung.set()


def test_too_little_audio_fails_with_the_least_length(
    working: tuple[Worker, Ear], tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "in.wav", [0.1] * 96, RATE_HZ)
    wanted = job(tmp_path / "one", continuation=True, input_audio=str(tmp_path / "in.wav"))
    failed = made(working, wanted)
    assert failed.kind == "failed"
    assert "at least 0.1 s" in failed["error"]


def test_audio_that_finds_no_memory_is_postponed_and_takes_what_its_header_says(
    working: tuple[Worker, Ear], tmp_path: Path
) -> None:
    """However much others hold, a short clip passes; a long one waits outside the worker."""
    worker, ear = working
    soundfile.write(tmp_path / "short.wav", [0.1] * RATE_HZ, RATE_HZ)
    soundfile.write(tmp_path / "long.flac", [0.1] * 60 * RATE_HZ, RATE_HZ)
    short, long = (
        job(tmp_path / name[:4], continuation=True, input_audio=str(tmp_path / name))
        for name in ("short.wav", "long.flac")
    )
    with ExitStack() as held:
        for owner, mib in enumerate((128, 128, 64, 32, 16, 8, 4, 2)):  # of 384
            held.enter_context(worker._memory.reserved(str(owner), mib * 2**20))
        assert made(working, short).kind == "done"
        postponed = made(working, long)
        assert postponed.kind == "postponed"
        assert 60 * RATE_HZ * 4 < postponed["memory_bytes"] < MAX_INPUT_BYTES // 10
        before = len(ear.heard)
        again = replace(long, memory_bytes=postponed["memory_bytes"])
        assert made(working, again).kind == "postponed"
        assert [one.kind for one in ear.heard[before:]] == ["postponed"]  # it has not started
    assert made(working, again).kind == "done"


def test_audio_longer_than_its_header_says_is_measured_again(
    working: tuple[Worker, Ear], tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "in.wav", [0.1] * 10 * RATE_HZ, RATE_HZ)
    wanted = job(tmp_path / "one", continuation=True, input_audio=str(tmp_path / "in.wav"))
    postponed = made(working, replace(wanted, memory_bytes=RATE_HZ))
    assert (postponed.kind, postponed["memory_bytes"]) == ("postponed", MAX_INPUT_BYTES)
    assert made(working, replace(wanted, memory_bytes=MAX_INPUT_BYTES)).kind == "done"


def test_each_variation_is_what_its_seed_gives(working: tuple[Worker, Ear], tmp_path: Path) -> None:
    done = made(working, job(tmp_path / "all", 3))
    assert done["files"] == ["out-1.wav", "out-2.wav", "out-3.wav"]
    assert (done["metrics"]["seeds"], done["metrics"]["seed"]) == ([7, 8, 9], 7)
    progress = [one.data for one in working[1].heard if one.kind == "progress"]
    assert progress[-1] == {"done": 75, "total": 75}
    for index, file in enumerate(done["files"]):
        alone = tmp_path / str(index)
        made(working, job(alone, seed=7 + index))
        samples = [soundfile.read(path)[0] for path in (tmp_path / "all" / file, alone / "out.wav")]
        assert (samples[0] == samples[1]).all()
        live = "live.wav" if index == 0 else f"live-{index + 1}.wav"
        assert (tmp_path / "all" / live).read_bytes() == (alone / "live.wav").read_bytes()


def test_variations_beyond_the_slots_wait_their_turn(
    working: tuple[Worker, Ear], tmp_path: Path
) -> None:
    assert len(made(working, job(tmp_path / "all", 8))["files"]) == 8


def test_a_cancel_ends_all_variations(working: tuple[Worker, Ear], tmp_path: Path) -> None:
    worker, ear = working
    worker._reporter = lambda _: lambda _: worker._canceled.add("one")  # type: ignore[assignment]
    assert made(working, job(tmp_path / "all", 3, duration=30)).kind == "canceled"
    assert not list((tmp_path / "all").glob("out*"))
    assert len(ear.heard) == 2


def test_one_that_fails_ends_all_with_its_error(
    working: tuple[Worker, Ear], tmp_path: Path
) -> None:
    wanted = job(tmp_path / "all", 3, duration=30)
    (tmp_path / "all" / "live-2.mp3").mkdir()
    failed = made(working, wanted)
    assert failed.kind == "failed"
    assert failed["error"].startswith("internal error: IsADirectoryError")
    assert str(tmp_path) not in failed["error"]


def test_after_the_largest_seed_comes_the_smallest() -> None:
    assert seeds_of(MAX_SEED - 1, 3) == [MAX_SEED - 1, MAX_SEED, 0]


def test_a_workers_threads_wait_passively(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"):
        monkeypatch.delenv(name, raising=False)
    seen: list[str | None] = []

    def load_models(self: Worker) -> None:
        seen.append(os.environ.get("OMP_WAIT_POLICY"))
        raise EOFError

    def leave(code: int) -> None:
        seen.append(str(code))

    monkeypatch.setattr(Worker, "load_models", load_models)
    monkeypatch.setattr("toccata.server.worker.main.signal.signal", lambda *_: None)
    monkeypatch.setattr("toccata.server.worker.main.os.nice", lambda _: None)
    monkeypatch.setattr("toccata.server.worker.main.os._exit", leave)
    run(Ear(), Settings())
    assert seen == ["PASSIVE", "0"]
    wait_as_by_default(os.environ)  # not monkeypatch's to undo: it was set by what is tested
