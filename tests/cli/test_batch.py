"""`--prompts FILE`: a request a line, and errors that name the line."""

from __future__ import annotations

import io
import json
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import FakeToccata, Result, tone
from toccata.audio.files import write
from toccata.audio.waveform import Waveform
from toccata.generation import source_audio
from toccata.generation.source_audio import read_part

Run = Callable[..., Result]


def test_a_csv_makes_a_file_a_line(fake: FakeToccata, run: Run) -> None:
    Path("songs.csv").write_text(
        'prompt,duration,seed\n"slow, soft piano",0.2,7\n\nhappy rock,,\n', encoding="utf-8-sig"
    )
    result = run("generate", "--prompts", "songs.csv", "-d", "0.1", "--temperature", "0.5")
    assert (result.code, result.out.split()) == (0, ["songs-1.wav", "songs-2.wav"])
    first, second = fake.requests
    assert (first["prompt"], first["duration_s"], first["seed"]) == ("slow, soft piano", 0.2, 7)
    assert (second["prompt"], second["duration_s"]) == ("happy rock", 0.1)
    assert {one["temperature"] for one in fake.requests} == {0.5}


def test_jsonl_has_the_fields_of_a_request(fake: FakeToccata, run: Run) -> None:
    write(Path("in.wav"), tone(1.0))
    rows = [
        {"prompt": "a", "seed": 5, "output_format": "flac", "top_k": None},
        {"input_audio": "in.wav", "continuation": True, "model_version": "small"},
    ]
    Path("r.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    result = run("generate", "--prompts", "r.jsonl", "-d", "0.1", "-o", "./")
    assert result.out.split() == ["r-1.flac", "r-2.wav"]
    assert fake.requests[1]["continue_from"].duration_s == 1.0
    assert fake.loaded["name"] == "small"


def test_seeds_follow_each_other_and_names_are_numbered(fake: FakeToccata, run: Run) -> None:
    Path("r.csv").write_text("prompt,seed\na,\nb,100\nc,\n")
    result = run("generate", "--prompts", "r.csv", "-d", "0.1", "--seed", "1", "-o", "x.mp3")
    assert result.out.split() == ["x-1.mp3", "x-2.mp3", "x-3.mp3"]
    assert [one["seed"] for one in fake.requests] == [1, 100, 3]


def test_many_are_made_in_batches_and_written_as_they_come(fake: FakeToccata, run: Run) -> None:
    Path("r.csv").write_text("prompt\n" + "x\n" * 20)
    there: list[int] = []
    fake.on_generate = lambda: there.append(len(list(Path().glob("r-*.wav"))))
    assert run("generate", "--prompts", "r.csv", "-d", "0.1").code == 0
    assert there == [0, 8, 16]


def test_prompts_from_stdin(fake: FakeToccata, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"prompt": "a"}\n')))
    assert run("generate", "--prompts", "-", "-d", "0.1").out == "prompts-1.wav\n"


def test_booleans_of_a_csv_are_words(fake: FakeToccata, run: Run) -> None:
    write(Path("in.wav"), tone(1.0))
    Path("r.csv").write_text("input_audio,continuation\nin.wav,true\nin.wav,no\n")
    assert run("generate", "--prompts", "r.csv", "-d", "0.1").code == 0
    assert [one["melody"] is None for one in fake.requests] == [True, False]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "r.csv",
            "prompt,mood\na,b\n",
            ["r.csv line 1: 'mood' is no column", "may be model, prompt"],
        ),
        ("r.csv", "prompt,prompt\na,b\n", ["has a column twice"]),
        (
            "r.csv",
            "prompt,duration\na,9999\nb,x\n",
            ["r.csv line 2: duration: 9999", "r.csv line 3: duration: 'x'"],
        ),
        ("r.csv", "prompt,seed\na,b,1\n", ["r.csv line 2 has 3 cells and not 2", "quotes"]),
        ("r.csv", 'prompt\n"a\n', ["r.csv line 2"]),
        ("r.csv", "prompt,continuation\na,maybe\n", ["r.csv line 2: continuation: 'maybe'"]),
        ("r.csv", "prompt,seed\n,1\n", ["r.csv line 2: prompt is missing", "melody"]),
        ("r.csv", "prompt\n", ["--prompts: 'r.csv'", "no requests"]),
        (
            "r.jsonl",
            '{"prompt": "a"}\n{"promt": "b"}\n{\n[1]\n',
            ["line 2: 'promt'", "line 3 is no JSON", "line 4 is no JSON object"],
        ),
        ("r.csv", "prompt,continuation_end\na,9\n", ["line 2: continuation_end cannot be used"]),
        ("r.jsonl", '{"duration": "9"}', ["r.jsonl line 1: duration: '9'"]),
    ],
)
def test_what_is_wrong_names_its_line(
    fake: FakeToccata, run: Run, name: str, text: str, said: list[str]
) -> None:
    Path(name).write_text(text)
    result = run("generate", "--prompts", name)
    assert result.code == 2
    for words in said:
        assert words in result.err
    assert "None" not in result.err
    assert not fake.loaded


@pytest.mark.parametrize(
    ("row", "code", "said"),
    [
        ("none.wav,0", 3, "r.csv line 3: none.wav: "),
        ("text.wav,0", 3, "r.csv line 3: text.wav: "),
        ("in.wav,9", 2, "r.csv line 3: continuation_start: 9"),
    ],
)
def test_wrong_audio_names_its_line(
    fake: FakeToccata, run: Run, row: str, code: int, said: str
) -> None:
    write(Path("in.wav"), tone(1.0))
    Path("text.wav").write_text("hello there")
    Path("r.csv").write_text(f"input_audio,continuation_start\nin.wav,0\n{row}\n")
    result = run("generate", "--prompts", "r.csv", "-d", "0.1")
    assert result.code == code
    assert f"error: {said}" in result.err
    assert not fake.loaded


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-n", "2"], "--count cannot be used with --prompts"),
        (["-o", "-"], "stdout takes one file"),
        (["--stream", "-"], "a stream is one clip"),
        (["-o", "x-{seed}.wav", "--seed", "1"], ""),
    ],
)
def test_what_does_not_go_with_prompts(
    fake: FakeToccata, run: Run, options: list[str], said: str
) -> None:
    Path("r.csv").write_text("prompt\na\nb\n")
    result = run("generate", "--prompts", "r.csv", "-d", "0.1", *options)
    assert result.code == (2 if said else 0)
    assert said in result.err


def test_two_rows_of_one_name_are_refused(fake: FakeToccata, run: Run) -> None:
    Path("r.csv").write_text("prompt,seed\na,1\nb,1\n")
    result = run("generate", "--prompts", "r.csv", "-o", "{seed}.wav")
    assert result.code == 2
    assert "--output gives two results the name 1.wav" in result.err


@pytest.mark.parametrize("model", [["mini"], {"a": 1}, 5, True])
def test_a_model_of_a_wrong_type_is_told_with_its_line(
    fake: FakeToccata, run: Run, model: object
) -> None:
    Path("r.jsonl").write_text(json.dumps({"prompt": "a", "model_version": model}))
    result = run("generate", "--prompts", "r.jsonl")
    assert result.code == 2
    assert "r.jsonl line 1: model_version" in result.err


def test_json_that_is_nested_too_deeply_is_told_with_its_line(fake: FakeToccata, run: Run) -> None:
    Path("r.jsonl").write_text('{"prompt": ' + "[" * 100_000)
    result = run("generate", "--prompts", "r.jsonl")
    assert result.code == 2
    assert "r.jsonl line 1 is nested too deeply" in result.err


def test_only_line_feeds_end_a_line(fake: FakeToccata, run: Run) -> None:
    prompts = ["one\u2028two", "three\u2029four", "five"]
    rows = [json.dumps({"prompt": one}, ensure_ascii=False) for one in prompts]
    Path("r.jsonl").write_text("\r\n".join(rows), encoding="utf-8")
    assert run("generate", "--prompts", "r.jsonl", "-d", "0.1").code == 0
    assert [one["prompt"] for one in fake.requests] == prompts


def test_audio_of_a_row_does_not_come_from_the_stdin_of_the_requests(
    fake: FakeToccata, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"prompt,input_audio\nx,-\n")))
    result = run("generate", "--prompts", "-")
    assert (result.code, fake.loaded) == (2, {})
    assert "stdin line 2: input_audio is to come from stdin, and so are the requests" in result.err


def test_audio_of_many_rows_is_checked_first_and_held_a_batch_at_a_time(
    fake: FakeToccata, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[weakref.ref[Waveform]] = []
    alive: list[int] = []

    def counted(*arguments: Any, **more: Any) -> Waveform:
        part = read_part(*arguments, **more)
        held.append(weakref.ref(part))
        return part

    monkeypatch.setattr(source_audio, "read_part", counted)
    monkeypatch.setenv("TOCCATA_SLOTS", "2")
    fake.on_generate = lambda: alive.append(sum(one() is not None for one in held))
    for number in range(6):
        write(Path(f"{number}.wav"), tone(0.2 + 0.1 * number))
    rows = [f"row,{number}.wav,1" for number in range(6)]
    Path("x.csv").write_text("\n".join(["prompt,input_audio,duration", *rows]))
    result = run("generate", "-m", "melody", "--prompts", "x.csv")
    assert result.code == 0, result.err
    lengths = [one["melody"].duration_s for one in fake.requests]
    assert lengths == pytest.approx([0.2 + 0.1 * number for number in range(6)])
    assert len(alive) == 3
    assert alive[0] <= 2


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("x.jsonl", '{"prompt": "a", "prompt": "b"}\n', "x.jsonl line 1 has a key twice"),
        ("x.csv", "prompt;duration\na;1\n", "put commas between the columns, not semicolons"),
    ],
)
def test_rows_that_say_two_things_or_are_divided_otherwise(
    fake: FakeToccata, run: Run, name: str, text: str, said: str
) -> None:
    Path(name).write_text(text)
    result = run("generate", "--prompts", name)
    assert result.code == 2
    assert said in result.err


@pytest.mark.parametrize("pattern", ["x-{n:{foo}}.wav", "{n:99999999999}.wav", "{n:1000}.wav"])
def test_placeholders_that_cannot_be_filled_are_refused(
    fake: FakeToccata, run: Run, pattern: str
) -> None:
    result = run("generate", "a waltz", "-o", pattern)
    assert result.code == 2
    assert "its placeholders may be" in result.err


def test_slots_of_thousands_of_digits_are_refused(
    fake: FakeToccata, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOCCATA_SLOTS", "9" * 5000)
    result = run("generate", "a waltz")
    assert result.code == 2
    assert "from 1 to 1024" in result.err


def test_rows_beyond_the_largest_seed_are_refused(fake: FakeToccata, run: Run) -> None:
    Path("songs.jsonl").write_text('{"prompt": "a"}\n{"prompt": "b"}\n{"prompt": "c"}\n')
    result = run("generate", "--prompts", "songs.jsonl", "--seed", str(2**63 - 2), "-o", "x.wav")
    assert result.code == 2
    assert "songs.jsonl line 3: seed: 9223372036854775806" in result.err
    assert not fake.loaded
