"""Where results go: nothing is lost, nothing is overwritten, and stdout is a file too."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import FakeToccata, Result, tone
from toccata.audio.files import read, write
from toccata.cli import main, places, play
from toccata.errors import InputError
from toccata.finetuning import run as finetune_run
from toccata.models import loading

Run = Callable[..., Result]

WALTZ = ("generate", "a waltz", "-d", "0.1", "--seed", "1")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_a_file_is_not_overwritten_unasked(fake: FakeToccata, run: Run) -> None:
    Path("x.wav").write_text("mine")
    result = run(*WALTZ, "-o", "x.wav")
    assert result.code == 2
    assert "--output names x.wav, which exists already; add --overwrite" in result.err
    assert Path("x.wav").read_text() == "mine"
    assert not fake.loaded
    assert run(*WALTZ, "-o", "x.wav", "--overwrite").out == "x.wav\n"
    assert read(Path("x.wav")).duration_s == pytest.approx(0.1)


def test_names_of_ours_are_numbered(fake: FakeToccata, run: Run) -> None:
    names = [run(*WALTZ).out.strip() for _ in range(3)]
    assert names == ["mini-1.wav", "mini-1-2.wav", "mini-1-3.wav"]
    assert run(*WALTZ, "--overwrite").out == "mini-1.wav\n"


def test_a_folder_gets_names_of_ours(fake: FakeToccata, run: Run) -> None:
    Path("{a}").mkdir()
    assert run(*WALTZ, "-o", "{a}/", "--format", "flac").out == "{a}/mini-1.flac\n"
    assert run(*WALTZ, "-o", "{a}").out == "{a}/mini-1.wav\n"
    assert run(*WALTZ, "-o", "none/").code == 2


def test_several_results_of_one_name_are_numbered(fake: FakeToccata, run: Run) -> None:
    out = run(*WALTZ, "-n", "3", "-o", "x.wav").out
    assert out.split() == ["x-1.wav", "x-2.wav", "x-3.wav"]
    again = run(*WALTZ, "-n", "2", "-o", "x.wav")
    assert again.code == 2
    assert "x-1.wav, which exists already" in again.err


@pytest.mark.parametrize("target", ["-", "/dev/stdout"])
def test_stdout_is_a_file(
    fake: FakeToccata, capfdbinary: pytest.CaptureFixture[bytes], target: str
) -> None:
    with pytest.raises(SystemExit):
        main([*WALTZ, "-o", target, "--format", "flac"])
    data = capfdbinary.readouterr().out
    assert read(data).duration_s == pytest.approx(0.1)
    assert data[:4] == b"fLaC"
    assert not list(Path().iterdir())


def test_a_terminal_gets_no_file(
    fake: FakeToccata, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "stdout is a terminal" in run(*WALTZ, "-o", "-").err
    assert not fake.loaded


def test_a_full_disk_loses_nothing(fake: FakeToccata, run: Run, elsewhere: Path) -> None:
    result = run(*WALTZ, "-o", "/dev/full", "--json")
    assert result.code == 3
    [saved] = elsewhere.iterdir()
    assert (
        f"/dev/full: cannot be written (No space left on device); the result is saved in {saved}"
        in result.err
    )
    assert json.loads(result.out)["path"] == str(saved)
    assert saved.suffix == ".wav"
    assert read(saved).duration_s == pytest.approx(0.1)


def test_a_pipe_that_breaks_loses_nothing(
    fake: FakeToccata, run: Run, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as ended:
            main([*WALTZ, "-o", "-"])
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # so that it can be closed
    assert ended.value.code == 3
    [saved] = elsewhere.iterdir()
    assert read(saved).duration_s == pytest.approx(0.1)


def test_a_folder_that_goes_away_loses_nothing(
    fake: FakeToccata, run: Run, elsewhere: Path
) -> None:
    Path("there").mkdir()
    fake.on_generate = lambda: Path("there").rename("gone")
    result = run(*WALTZ, "-o", "there/x.mp3")
    assert result.code == 3
    [saved] = elsewhere.iterdir()
    assert str(saved) in result.err
    assert result.out == f"{saved}\n"
    assert read(saved).channels == 1


def test_a_file_made_meanwhile_is_kept(fake: FakeToccata, run: Run, elsewhere: Path) -> None:
    fake.on_generate = lambda: Path("x.wav").write_text("theirs")
    result = run(*WALTZ, "-o", "x.wav")
    assert result.code == 3
    assert Path("x.wav").read_text() == "theirs"
    assert len(list(elsewhere.iterdir())) == 1
    assert len(list(Path().glob(".toccata*"))) == 0


def test_all_of_a_batch_is_written_though_one_file_cannot_be(
    fake: FakeToccata, run: Run, elsewhere: Path
) -> None:
    fake.on_generate = lambda: Path("x-1.wav").write_text("theirs")
    result = run(*WALTZ, "-n", "2", "-o", "x.wav")
    assert result.code == 3
    [saved] = elsewhere.iterdir()
    assert result.out.split() == [str(saved), "x-2.wav"]


def test_a_clip_its_format_cannot_hold_is_saved_as_wav(
    fake: FakeToccata, run: Run, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.cli.conftest.RATE_HZ", 31_999)
    result = run(*WALTZ, "-o", "x.mp3")
    assert result.code == 3
    [saved] = elsewhere.iterdir()
    assert "mp3 has no rate of 31999 Hz" in result.err
    assert str(saved) in result.err
    assert read(saved).sample_rate_hz == 31_999


def test_a_link_stays_a_link(fake: FakeToccata, run: Run) -> None:
    Path("real.wav").write_text("old")
    Path("x.wav").symlink_to("real.wav")
    assert run(*WALTZ, "-o", "x.wav", "--overwrite").out == "x.wav\n"
    assert Path("x.wav").is_symlink()
    assert read(Path("real.wav")).duration_s == pytest.approx(0.1)


def test_a_link_that_leads_nowhere_is_refused_before_any_work(fake: FakeToccata, run: Run) -> None:
    Path("round.wav").symlink_to("round.wav")
    Path("x.wav").symlink_to("none/x.wav")
    for name, problem in (("round.wav", "leads to itself"), ("x.wav", "there is no folder")):
        result = run(*WALTZ, "-o", name, "--overwrite")
        assert result.code == 2
        assert problem in result.err
    assert not fake.loaded


def test_files_have_the_usual_rights(fake: FakeToccata, run: Run) -> None:
    run(*WALTZ, "-o", "x.wav")
    Path("plain").touch()
    assert Path("x.wav").stat().st_mode == Path("plain").stat().st_mode


def test_encode_decode_is_named_after_its_source(fake: FakeToccata, run: Run) -> None:
    for name in ("a.wav", "b.wav"):
        write(Path(name), tone(0.2))
    output = [run("encode-decode", name) for name in ("a.wav", "b.wav", "a.wav")]
    assert [one.out.strip() for one in output] == [
        "a-mini-encode-decode.wav",
        "b-mini-encode-decode.wav",
        "a-mini-encode-decode-2.wav",
    ]
    assert "0.20 s of a.wav through the codec of mini" in output[0].err
    assert "seed" not in output[0].err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--bit-depth", "8"], "--bit-depth: 8"),
        (["-o", "x.mp3", "--bitrate", "9"], "--bitrate: 9"),
        (["-o", "a.wav"], "--output names a.wav, which exists already"),
        (["-o", "/proc/x.wav"], "cannot be written to"),
        (["--start", "9", "--end", "3"], "--start: 9"),
    ],
)
def test_encode_decode_checks_before_it_loads(
    fake: FakeToccata, run: Run, options: list[str], said: str
) -> None:
    write(Path("a.wav"), tone(0.2))
    result = run("encode-decode", "a.wav", *options)
    assert result.code == 2
    assert said in result.err
    assert not fake.loaded


def test_convert_checks_its_folder_before_it_loads(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "load_model", lambda *_, **__: pytest.fail("loaded"))
    monkeypatch.chdir(tmp_path)
    Path("full").mkdir()
    Path("full/x").touch()
    for folder, said in (("full", "not empty"), ("full/x", "not empty"), ("/proc/x", "written")):
        result = run("convert", "mini", folder)
        assert result.code == 2
        assert said in result.err


def test_training_checks_its_output_first(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetune_run, "finetune", lambda *_: pytest.fail("trained"))
    options = ("--data", str(tmp_path), "-o", "/proc/x.safetensors")
    result = run("train", "lora", *options)
    assert result.code == 2
    assert "--output: '/proc'" in result.err


def test_a_lora_needs_a_name(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "music").mkdir()
    result = run("train", "lora", "--data", "music", "-o", ".")
    assert result.code == 2
    assert "error: --output: '.' is not valid; name what is to be written" in result.err


def test_figures_are_saved_where_stdout_cannot_be_written(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toccata.cli.report import show_costly
    from toccata.errors import ToccataError

    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(ToccataError, match="No space left") as caught:
            show_costly('{"a": 1}', "bench.json")
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # so that it can be closed
    [saved] = elsewhere.iterdir()
    assert str(saved) in str(caught.value)
    assert saved.read_text() == '{"a": 1}\n'


@pytest.fixture
def player(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An aplay that keeps what it plays, on a machine without other players."""
    program = tmp_path / "bin" / "aplay"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n/bin/cp "$2" {tmp_path}/played.wav\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    return tmp_path / "played.wav"


def test_the_result_is_played(fake: FakeToccata, run: Run, player: Path) -> None:
    assert run(*WALTZ, "-o", "x.mp3", "--play").code == 0
    assert read(player).duration_s == pytest.approx(0.1)
    assert Path("x.mp3").exists()


def test_a_player_that_fails_is_said_and_the_file_stays(
    fake: FakeToccata, run: Run, player: Path, tmp_path: Path
) -> None:
    (tmp_path / "bin" / "aplay").write_text("#!/bin/sh\nexit 7\n")
    result = run(*WALTZ, "-o", "x.wav", "--play")
    assert (result.code, result.out) == (3, "x.wav\n")
    assert "aplay: ended with code 7" in result.err


def test_no_player_is_said_before_composing(
    fake: FakeToccata, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    result = run(*WALTZ, "--play")
    assert result.code == 5
    assert all(name in result.err for name in play.PLAYERS)
    assert not fake.loaded


def test_two_results_of_one_name_are_refused() -> None:
    place = places.Place(Path("x.wav"))
    with pytest.raises(InputError, match="gives two results the name"):
        places.reserve([place, place])


@pytest.mark.parametrize("flag", ["--output", "--model"])
def test_a_name_that_is_too_long_is_told_by_its_flag(
    fake: FakeToccata, run: Run, flag: str
) -> None:
    result = run(*WALTZ, flag, "x" * 300)
    assert result.code == 2
    assert result.err.startswith(f"error: {flag} is a name that is too long")
    assert len(result.err) < 250
    assert not fake.loaded


def test_a_name_that_is_too_long_once_it_is_filled_in(fake: FakeToccata, run: Run) -> None:
    result = run(*WALTZ, "--count", "2", "-o", "x" * 250 + ".wav")
    assert (result.code, fake.loaded) == (2, {})
    assert "--output is a name that is too long" in result.err
