"""All that is around making music: files, events, progress, webhooks, models and lists."""

from __future__ import annotations

from pathlib import Path

import soundfile

from tests.clients.conftest import Play, with_clients
from tests.server.conftest import SEED_VERSION, Served
from toccata.server.hosted_inputs import HOSTED


@with_clients()
def test_audio_is_given_in_every_form(client: str, server: Served, play: Play, song: Path) -> None:
    forms = play(client, "upload", server)
    assert len(forms) == 5
    assert all(forms.values()), forms


@with_clients()
def test_files_are_kept_listed_and_deleted(
    client: str, server: Served, play: Play, song: Path
) -> None:
    kept = play(client, "files", server)
    assert (kept["name"], kept["size"]) == (song.name, song.stat().st_size)
    assert kept["type"] == "audio/x-wav"
    assert kept["metadata"] == {"take": {"of": "7"}}
    assert (kept["listed"], kept["gone"]) == (True, 404)
    assert kept["downloaded"] if client == "p2" else kept["deleted"]


@with_clients("p1", "js")
def test_events_are_streamed(client: str, server: Served, play: Play, tmp_path: Path) -> None:
    heard = play(client, "stream", server)
    assert heard["names"] == [*["logs"] * 21, "output", "done"]
    assert heard["url"].startswith(f"{server.url}/outputs/")
    assert "prompt: it says fail" in heard["failure"]
    if client == "js":
        assert heard["kind"] == "FileOutput"
        assert soundfile.info(tmp_path / "song.wav").duration == 1.0


def test_the_stream_of_p2_spells_the_address(server: Served, play: Play) -> None:
    assert play("p2", "stream", server)["url"].startswith(f"{server.url}/outputs/")


def test_events_have_files_over_https(tls_server: Served, play: Play) -> None:
    assert play("p1", "stream", tls_server)["kind"] == "FileOutput"


def test_events_of_what_has_ended_are_told_again(server: Served, play: Play) -> None:
    assert play("p1", "stream_again", server) == ["logs", "output", "done"]


@with_clients("p1", "js")
def test_progress_is_read_from_the_logs(client: str, server: Served, play: Play) -> None:
    progress = play(client, "progress", server)
    assert progress["seen"] == sorted(progress["seen"])
    assert len(progress["seen"]) > 2
    assert (progress["seen"][-1], progress["total"], progress["last"]) == (12, 12, 1.0)


@with_clients("p1", "js")
def test_webhooks_pass_the_validator(client: str, server: Served, play: Play) -> None:
    told = play(client, "webhook", server)
    assert (told["status"], told["same"]) == ("succeeded", True)
    assert told.get("valid", True) is True
    assert told["forged"] in (False, "Webhook signature is invalid")


@with_clients()
def test_models_and_versions_are_found(client: str, server: Served, play: Play) -> None:
    found = play(client, "models", server)
    assert found["name"] == "meta/musicgen"
    assert found["latest"] == found["versions"][0]
    assert SEED_VERSION in found["versions"]
    assert found["inputs"] == list(HOSTED.names)
    assert "toccata/musicgen" in found["listed"]
    assert found["found"] == ["meta/musicgen"]


@with_clients()
def test_lists_go_on_from_page_to_page(client: str, server: Served, play: Play) -> None:
    missing = 101 - len(server.client.get("/v1/predictions").json()["results"])
    made = [server.create()["id"] for _ in range(missing)]
    found = play(client, "pages", server)
    assert found["pages"] >= 2
    assert len(set(found["ids"])) == len(found["ids"]) > 100
    assert found["ids"][:missing] == made[::-1]


@with_clients()
def test_the_account_and_what_there_is_not(client: str, server: Served, play: Play) -> None:
    found = play(client, "account", server)
    assert found["username"] == "toccata"
    assert found["hardware"] == ["cpu"]
    assert found["lists"] == [0, 0, 0]
    assert found["secret"] == server.app.state.parts.webhook_secret


def test_the_address_of_the_server_may_end_without_v1_for_p1(server: Served, play: Play) -> None:
    assert play("p1", "account", server, REPLICATE_BASE_URL=server.url)["username"] == "toccata"
