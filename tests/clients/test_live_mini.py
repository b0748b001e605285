"""The official clients and a server as users start it, with the model that ships: real music."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from tests.clients.conftest import TIMEOUT_S, TOKEN, Play, certify, with_clients
from tests.clients.live import Live, starting

STOOD_IN = "melody is not on this machine: mini stands in for it"
NO_AUDIO = '{"prompt": "happy rock", "continuation": true}'

Samples = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Live]]:
    """One over http, one over https."""
    plain, safe = tmp_path_factory.mktemp("http"), tmp_path_factory.mktemp("https")
    tls = safe / "cert.pem", safe / "key.pem"
    certify(*tls)
    with ExitStack() as stack:
        servers = {
            "http": stack.enter_context(starting(plain, TOKEN)),
            "https": stack.enter_context(starting(safe, TOKEN, tls)),
        }
        for server in servers.values():
            server.until_ready(TIMEOUT_S)
        yield servers


@pytest.fixture(scope="module")
def live(servers: Mapping[str, Live]) -> Live:
    return servers["http"]


@pytest.mark.parametrize("scheme", ["http", "https"])
@with_clients()
def test_a_seed_makes_the_same_music_again(
    client: str, scheme: str, servers: Mapping[str, Live], play: Play, tmp_path: Path
) -> None:
    made = play(client, "seeded", servers[scheme])
    for name, output in made.items():
        assert output["kind"] == "FileOutput"
        assert output["url"].startswith("data:audio/wav;" if scheme == "http" else "https://")
        listen(tmp_path / f"{name}.wav", 1.0)
    first, again, other = ((tmp_path / f"{name}.wav").read_bytes() for name in made)
    assert first == again
    assert first != other


@with_clients()
def test_a_prediction_is_made_waited_for_and_got(
    client: str, live: Live, play: Play, tmp_path: Path
) -> None:
    made = play(client, "by_hand", live)
    assert (made["first"], made["last"]) == ("starting", "succeeded")
    assert STOOD_IN in made["logs"]
    listen(fetched(made["url"], tmp_path), 1.0)


@with_clients()
def test_a_prediction_is_canceled(client: str, live: Live, play: Play) -> None:
    made = play(client, "cancel", live)
    assert made == {"seen": "processing", "last": "canceled", "output": None}


@with_clients()
def test_what_is_uploaded_is_carried_on(
    client: str, live: Live, play: Play, tmp_path: Path
) -> None:
    assert play(client, "carry_on", live)["kind"] == "FileOutput"
    begun = listen(tmp_path / "begun.wav", 1.0)
    whole = listen(tmp_path / "song.wav", 2.0)
    assert np.corrcoef(begun, whole[: len(begun)])[0, 1] > 0.9


@with_clients("p1", "js")
def test_events_are_streamed(client: str, live: Live, play: Play, tmp_path: Path) -> None:
    heard = play(client, "stream", live, FAIL=NO_AUDIO)
    assert heard["names"][-2:] == ["output", "done"]
    assert set(heard["names"][:-2]) == {"logs"}
    assert "it needs input_audio" in heard["failure"]
    listen(fetched(heard["url"], tmp_path), 1.0)


def test_the_stream_of_p2_spells_the_address(live: Live, play: Play, tmp_path: Path) -> None:
    listen(fetched(play("p2", "stream", live)["url"], tmp_path), 1.0)


@with_clients("p1", "js")
def test_webhooks_pass_the_validator(client: str, live: Live, play: Play) -> None:
    told = play(client, "webhook", live)
    assert (told["status"], told["same"]) == ("succeeded", True)
    assert told.get("valid", True) is True
    assert told["forged"] in (False, "Webhook signature is invalid")


@with_clients()
def test_errors_are_raised_with_their_status_and_reason(
    client: str, live: Live, play: Play
) -> None:
    raised: dict[str, Any] = play(client, "errors", live, FAIL=NO_AUDIO)
    assert raised["failure"][0] == "failed"
    assert "it needs input_audio" in raised["failure"][1]
    assert {what: raised[what][0] for what in ("input", "version", "token", "id")} == {
        "input": 422, "version": 422, "token": 401, "id": 404,
    }  # fmt: skip


def listen(path: Path, duration_s: float) -> Samples:
    """[N], mixed to one channel. It is as long as asked, can be heard, and is no plain tone."""
    with soundfile.SoundFile(path) as file:
        assert (file.format, file.frames / file.samplerate) == ("WAV", duration_s)
        samples: Samples = file.read(always_2d=True).mean(axis=1)
    assert np.sqrt(np.mean(samples**2)) > 0.01
    power = np.abs(np.fft.rfft(samples)) ** 2
    assert power.max() < 0.5 * power.sum()
    return samples


def fetched(url: str, folder: Path) -> Path:
    """What is at the address of an output, which needs no token."""
    answer = httpx2.get(url, timeout=TIMEOUT_S)
    assert answer.headers["content-type"] == "audio/wav"
    path = folder / "fetched.wav"
    path.write_bytes(answer.content)
    return path
