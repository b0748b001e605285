"""Making music with the official clients: run, use, predictions made by hand, and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import soundfile

from tests.clients.conftest import TOKEN, Play, with_clients
from tests.server.conftest import SEED_VERSION, Served

DATA = "data:audio/wav;base64,"
FILES = ("FileOutput", "AsyncFileOutput")


def seconds(path: Path) -> float:
    with soundfile.SoundFile(path) as file:
        assert file.format == "WAV"
        return float(file.frames / file.samplerate)


@with_clients()
def test_run_gives_files(client: str, server: Served, play: Play, tmp_path: Path) -> None:
    made = play(client, "run", server)
    polled = made.pop("polled")
    assert made.keys() >= {"version", "name"}
    for name, output in made.items():
        assert output["kind"] in FILES
        assert output["url"].startswith(DATA)
        assert seconds(tmp_path / f"{name}.wav") == 1.0
    # Who does not want to wait gets an address, of which clients make no file.
    assert polled["kind"] in ("str", "String")
    assert server.client.get(polled["url"]).headers["content-type"] == "audio/wav"


@with_clients()
def test_run_gives_files_over_https(
    client: str, tls_server: Served, play: Play, tmp_path: Path
) -> None:
    made = play(client, "run", tls_server)
    for name, output in made.items():
        assert output["kind"] in FILES
        assert output["url"].startswith("https://127.0.0.1:")
        assert name == "polled" or seconds(tmp_path / f"{name}.wav") == 1.0


@with_clients()
def test_variations_are_a_list_of_files(
    client: str, server: Served, play: Play, tmp_path: Path
) -> None:
    made = play(client, "variations", server)
    assert [output["kind"] for output in made] == ["FileOutput"] * 2
    files = [tmp_path / f"variation-{number}.wav" for number in range(2)]
    assert [seconds(file) for file in files] == [1.0, 1.0]
    assert files[0].read_bytes() != files[1].read_bytes()


@with_clients()
def test_run_goes_on_when_the_wait_is_over(
    client: str, server: Served, play: Play, tmp_path: Path
) -> None:
    made = play(client, "patience", server)
    assert made["kind"] == "FileOutput"
    assert made["url"].startswith(DATA)
    assert seconds(tmp_path / "song.wav") == 1.0


def test_a_client_that_gives_up_soon_is_answered_before(
    server: Served, play: Play, tmp_path: Path
) -> None:
    assert play("p2", "hurry", server)["kind"] == "FileOutput"
    assert seconds(tmp_path / "song.wav") == 1.0


def test_a_client_that_gave_up_and_asks_again_gets_what_it_asked_for_before(
    server: Served, play: Play, tmp_path: Path
) -> None:
    assert play("p2", "repetition", server)["kind"] == "FileOutput"
    assert seconds(tmp_path / "song.wav") == 1.0
    latest = server.client.get("/v1/predictions").json()["results"]
    assert [each["input"].get("prompt") for each in latest].count("slow 1.8") == 1


def test_use_gives_paths(server: Served, play: Play, tmp_path: Path) -> None:
    made = play("p2", "use", server)
    for name in ("version", "name"):
        assert made[name]["kind"] == "URLPath"
        assert made[name]["url"].startswith(server.url)
        assert seconds(tmp_path / f"{name}.wav") == 1.0
    assert made["logs"].startswith("Using seed ")
    assert made["failure"] == "prompt: it says fail"


@with_clients()
def test_a_prediction_is_made_waited_for_and_got(client: str, server: Served, play: Play) -> None:
    made = play(client, "by_hand", server)
    assert (made["first"], made["last"]) == ("starting", "succeeded")
    assert made["url"].startswith(f"{server.url}/outputs/")
    assert made["logs"].startswith("Using seed ")
    assert {"predict_time", "total_time"} <= set(made["metrics"])


@with_clients()
def test_a_prediction_is_canceled(client: str, server: Served, play: Play) -> None:
    made = play(client, "cancel", server)
    assert made == {"seen": "processing", "last": "canceled", "output": None}


def test_an_abort_signal_cancels_it(server: Served, play: Play) -> None:
    assert play("js", "abort", server) == {"last": "canceled", "output": None}


@with_clients()
def test_errors_are_raised_with_their_status_and_reason(
    client: str, server: Served, play: Play
) -> None:
    raised: dict[str, Any] = play(client, "errors", server)
    for what, status, reason in (
        ("failure", "failed", "prompt: it says fail"),
        ("input", 422, "input.duration: "),
        ("version", 422, "The specified version does not exist"),
        ("token", 401, "valid authentication token"),
        ("id", 404, "could not be found"),
    ):
        assert raised[what][0] == status
        assert reason in raised[what][1]


def test_a_token_that_a_client_sends_as_input_is_dropped(server: Served, play: Play) -> None:
    """fileEncodingStrategy "data-uri" of the JavaScript client sends itself, token and all."""
    made = play("js", "data_uri", server)
    assert (made["version"], made["input"]) == (SEED_VERSION, {})
    assert TOKEN not in str(server.until(made["id"]))
