"""The command line on the real pipeline, with a tiny random model in it."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import toccata
from tests.audio.damaged import wav_with_size
from tests.cli.conftest import Result
from tests.fakes import SAMPLE_RATE_HZ, fake_model, tone
from toccata.audio.files import read, write
from toccata.audio.tags import read_tags
from toccata.cli import main
from toccata.cli.places import Place
from toccata.engine.engine import Engine
from toccata.errors import CheckpointError, GenerationError
from toccata.generation.handle import Toccata
from toccata.generation.pipeline import Pipeline

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = fake_model(melody=True)

    def load(_: str, slots: int, **__: object) -> Toccata:
        return Toccata(model, slots)

    monkeypatch.setitem(vars(toccata), "load", load)
    monkeypatch.chdir(tmp_path)


def test_variations_are_what_each_seed_makes_alone(run: Run) -> None:
    common = ("generate", "piano", "-d", "0.5", "--normalization-strategy", "clip")
    together = run(*common, "--seed", "3", "-n", "3", "-o", "{seed}.wav", "--json").out
    assert [json.loads(line)["seed"] for line in together.splitlines()] == [3, 4, 5]
    run(*common, "--seed", "4", "-o", "alone.wav")
    assert np.array_equal(read(Path("4.wav")).samples, read(Path("alone.wav")).samples)
    assert not np.array_equal(read(Path("4.wav")).samples, read(Path("5.wav")).samples)


def test_a_tagged_file_can_be_made_again(run: Run) -> None:
    run("generate", "piano", "-d", "0.5", "--top-k", "7", "-o", "a.flac")
    tags = read_tags(Path("a.flac"))
    again = ("generate", tags["prompt"], "--seed", tags["seed"], "--top-k", "7")
    run(*again, "-d", "0.5", "-o", "b.flac")
    assert np.array_equal(read(Path("a.flac")).samples, read(Path("b.flac")).samples)


def test_a_melody_a_continuation_and_fades(run: Run) -> None:
    write(Path("in.wav"), tone(1.0), "wav")
    common = ("generate", "--input-audio", "in.wav", "-d", "0.5", "--seed", "1")
    run(*common, "-o", "melody.wav")
    run(*common, "--continuation", "--fade-out", "0.2", "-o", "longer.wav")
    assert read(Path("melody.wav")).duration_s == pytest.approx(0.5)
    longer = read(Path("longer.wav"))
    assert longer.duration_s == pytest.approx(1.5)
    assert np.abs(longer.samples[0, -10:]).max() < 0.01


def test_a_wav_whose_header_is_wrong_is_used_with_a_warning(run: Run) -> None:
    write(Path("in.wav"), tone(1.0), "wav")
    Path("in.wav").write_bytes(wav_with_size(Path("in.wav").read_bytes(), 0))
    common = ("generate", "--input-audio", "in.wav", "-d", "0.5", "--seed", "1")
    done = run(*common, "--continuation", "-o", "longer.wav")
    assert read(Path("longer.wav")).duration_s == pytest.approx(1.5)
    assert "warning: in.wav: its header leaves out 3200 bytes of samples" in done.err


def test_the_stream_is_the_clip(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    common = ["generate", "piano", "-d", "2.5", "--seed", "1", "--normalization-strategy", "clip"]
    with pytest.raises(SystemExit):
        main([*common, "--stream", "-", "--raw"])
    streamed = np.frombuffer(capfdbinary.readouterr().out, "<i2")
    with pytest.raises(SystemExit):
        main([*common, "-o", "whole.wav"])
    whole = read(Path("whole.wav")).samples[0] * 2**15
    assert len(streamed) == round(2.5 * SAMPLE_RATE_HZ)
    assert np.abs(streamed - whole).max() <= 1


@pytest.mark.parametrize("more", [(), ("--input-audio", "in.wav", "--continuation")])
def test_the_header_of_a_stream_has_its_length(
    capfdbinary: pytest.CaptureFixture[bytes], more: tuple[str, ...]
) -> None:
    write(Path("in.wav"), tone(1.3), "wav")
    with pytest.raises(SystemExit):
        main(["generate", "piano", "-d", "1.1", "--seed", "1", *more, "--stream", "-"])
    streamed = capfdbinary.readouterr().out
    assert int.from_bytes(streamed[40:44], "little") == len(streamed) - 44
    assert read(streamed).duration_s == pytest.approx(2.4 if more else 1.1)


def test_encode_decode_keeps_the_length(run: Run) -> None:
    write(Path("in.wav"), tone(3.21), "wav")
    assert run("encode-decode", "in.wav", "-o", "out.wav").code == 0
    assert read(Path("out.wav")).duration_s == pytest.approx(3.21)


def test_ctrl_c_while_the_engine_runs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    steps, step = [], Engine.step

    def interrupted(engine: Engine) -> None:
        steps.append(step(engine))
        if len(steps) == 5:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Engine, "step", interrupted)
    # A shell's background jobs start with Ctrl-C ignored, and so would Python.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        result = run("generate", "piano", "-d", "60", "-o", "x.wav")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (result.code, result.out) == (130, "")
    assert "stopped" in result.err
    assert not list(Path().iterdir())


def test_a_stride_longer_than_the_window_is_refused(run: Run) -> None:
    result = run("generate", "piano", "-d", "0.5", "--stride", "1.5")
    assert result.code == 2
    assert "error: --stride: 1.5" in result.err


def test_variations_share_one_sentence_for_one_problem(run: Run) -> None:
    result = run("generate", "piano", "-d", "0.5", "--stride", "1.5", "-n", "3")
    assert result.code == 2
    assert result.err.count("error: --stride: 1.5") == 1
    assert "wanted[" not in result.err


def test_an_error_of_one_clip_does_not_count_as_the_library_does(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Engine) -> None:
        raise GenerationError("the logits are not finite; use --precision fp32")

    monkeypatch.setattr(Engine, "step", broken)
    result = run("generate", "piano", "-d", "0.5", "-n", "2")
    assert result.code == 6
    assert "error: the logits are not finite" in result.err


def test_json_has_the_numbers_of_info(run: Run) -> None:
    common = ("generate", "piano", "-d", "0.5", "--top-k", "7", "--temperature", "0.5")
    output = json.loads(run(*common, "-o", "a.wav", "--json").out)["parameters"]
    reported = json.loads(run("info", "a.wav", "--json").out)
    assert (output["top_k"], output["temperature"], output["normalization"]) == (7, 0.5, "loudness")
    assert output.items() <= reported.items()


ROWS = [{"prompt": f"song {n}", "duration": 0.5 * n, "seed": n} for n in (1, 2, 3)]


def broken_at(monkeypatch: pytest.MonkeyPatch, seed: int, error: BaseException) -> None:
    """The clip of `seed` fails while it is made."""
    whole = Pipeline.finish

    def clip(self: Pipeline, song: Any, *more: Any) -> Any:
        if song.request.seed == seed:
            raise error
        return whole(self, song, *more)

    monkeypatch.setattr(Pipeline, "finish", clip)


def test_a_row_that_fails_loses_no_other(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("songs.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    broken_at(monkeypatch, 2, GenerationError("the logits are not finite"))
    result = run("generate", "--prompts", "songs.jsonl")
    assert result.code == 6
    assert "error: songs.jsonl line 2: the logits are not finite" in result.err
    assert result.out.split() == ["songs-1.wav", "songs-3.wav"]
    assert read(Path("songs-3.wav")).duration_s == pytest.approx(1.5)


def test_rows_of_a_model_that_cannot_be_loaded_lose_no_others(run: Run) -> None:
    rows = [*ROWS, {"prompt": "none", "model_version": "./none/at-all"}]
    Path("songs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    usual = vars(toccata)["load"]

    def load(name: str, **options: Any) -> Toccata:
        if name != "mini":
            raise CheckpointError(f"{name}: there is no such model")
        model: Toccata = usual(name, **options)
        return model

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(vars(toccata), "load", load)
        result = run("generate", "--prompts", "songs.jsonl")
    assert result.code == 4
    assert "no such model" in result.err
    assert result.out.split() == ["songs-1.wav", "songs-2.wav", "songs-3.wav"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_batch_keeps_what_was_made(
    run: Run, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    Path("songs.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    whole = Pipeline.finish

    def clip(self: Pipeline, song: Any, *more: Any) -> Any:
        if song.request.seed == 3:
            signal.raise_signal(number)
        return whole(self, song, *more)

    monkeypatch.setattr(Pipeline, "finish", clip)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        result = run("generate", "--prompts", "songs.jsonl")
    finally:
        signal.signal(signal.SIGINT, before)
    assert result.code == 130
    assert result.out.split() == ["songs-1.wav", "songs-2.wav"]
    assert "stopped" in result.err


def test_a_stopped_batch_keeps_rows_that_were_made_before_an_earlier_one(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"prompt": "a", "duration": seconds, "seed": 1} for seconds in (3.0, 0.1, 3.0, 0.1)]
    Path("songs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    step = Engine.step
    steps = list[object]()

    def interrupted(engine: Engine) -> None:
        step(engine)
        steps.append(engine)
        if len(steps) == 60:
            raise KeyboardInterrupt

    monkeypatch.setattr(Engine, "step", interrupted)
    result = run("generate", "--prompts", "songs.jsonl")
    assert result.code == 130
    assert result.out.split() == ["songs-2.wav", "songs-4.wav"]
    assert result.err.count("stopped") == 1


def interrupted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C comes while the first file is written."""
    written, write_file = list[Path](), Place._write_file

    def write_interrupted(place: Place, data: bytes) -> Path:
        if not written:
            signal.raise_signal(signal.SIGINT)
        written.append(place.path)
        return write_file(place, data)

    monkeypatch.setattr(Place, "_write_file", write_interrupted)


@pytest.fixture
def listens(tiny: None) -> Iterator[None]:
    """A shell's background jobs start with Ctrl-C ignored, and so would Python."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("durations", "kept"), [((1.0, 0.1, 0.1), (1, 2, 3)), ((1.0, 0.1, 30.0, 0.1), (1, 2, 4))]
)
def test_ctrl_c_while_a_clip_is_written_keeps_all_that_are_finished(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    listens: None,
    durations: tuple[float, ...],
    kept: tuple[int, ...],
) -> None:
    rows = [{"prompt": "a", "duration": seconds, "seed": 1} for seconds in durations]
    Path("songs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    interrupted_once(monkeypatch)
    result = run("generate", "--prompts", "songs.jsonl")
    assert result.code == 130
    assert result.err.count("stopped") == 1
    assert result.out.split() == [f"songs-{number}.wav" for number in kept]
    assert all(read(Path(name)).duration_s > 0 for name in result.out.split())


def test_a_row_that_the_model_refuses_loses_no_other(run: Run) -> None:
    rows = [{**ROWS[0]}, {**ROWS[1], "stride": 100}, {**ROWS[2]}]
    Path("songs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    result = run("generate", "--prompts", "songs.jsonl")
    assert result.code == 2
    assert "error: songs.jsonl line 2: stride: 100.0 is not valid" in result.err
    assert result.out.split() == ["songs-1.wav", "songs-3.wav"]


def test_an_empty_part_of_encode_decode_loses_no_other_row(run: Run) -> None:
    write(Path("in.wav"), tone(1.0))
    Path("r.csv").write_text(
        "model,melody,start,end\nencode-decode,in.wav,,\nencode-decode,in.wav,0.5,0.500001\n"
        "encode-decode,in.wav,0.2,0.8\n"
    )
    result = run("generate", "--prompts", "r.csv")
    assert result.code == 2
    assert "error: r.csv line 3: " in result.err
    assert result.out.split() == ["r-1.wav", "r-3.wav"]


def test_a_stop_codes_no_further_row(
    run: Run, monkeypatch: pytest.MonkeyPatch, listens: None
) -> None:
    write(Path("in.wav"), tone(1.0))
    rows = ["encode-decode,in.wav"] * 3
    Path("r.csv").write_text("\n".join(["model,melody", *rows]))
    coded, whole = list[object](), Pipeline.encode_decode

    def counted(self: Pipeline, *arguments: Any) -> Any:
        coded.append(arguments)
        return whole(self, *arguments)

    monkeypatch.setattr(Pipeline, "encode_decode", counted)
    interrupted_once(monkeypatch)
    result = run("generate", "--prompts", "r.csv")
    assert result.code == 130
    assert result.out.split() == ["r-1.wav"]
    assert len(coded) == 1
