import asyncio
import base64
import json
import logging
import math
from collections.abc import Mapping
from typing import Any

import pytest

from toccata.errors import GenerationError, InputError
from toccata.server.predictions import webhooks
from toccata.server.predictions.webhooks import Hook, Webhooks, new_secret, signature_headers

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "https://user:password@hooks.example/path?token=hidden"
HOOK = Hook(URL, frozenset({"start", "output", "logs", "completed"}))
SILENT = Hook("https://silent.example", HOOK.events)
SHORT_S = 0.001
DEFAULTS: dict[str, Any] = {"secret": SECRET, "interval_s": 0.02, "retry_delays_s": (0, SHORT_S)}
Answer = int | Exception


class Receiver:
    """A Post that keeps what it gets; answers in the order given, then 200; SILENT gets none."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.sent: list[tuple[bytes, Mapping[str, str]]] = []
        self.under_way: list[str] = []

    async def __call__(self, url: str, body: bytes, headers: Mapping[str, str], _: str) -> int:
        assert url not in self.under_way
        self.sent.append((body, headers))
        self.under_way.append(url)
        try:
            await (asyncio.Event().wait() if url == SILENT.url else asyncio.sleep(0))
        finally:
            self.under_way.remove(url)
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def got(self) -> list[str]:
        return [json.loads(body)["is"] for body, _ in self.sent]

    @property
    def ids(self) -> set[str]:
        return {headers["webhook-id"] for _, headers in self.sent}


async def tell(sender: Webhooks, script: str, hook: Hook = HOOK, of: str = "p") -> None:
    """Notify of each word, such as "logs1" of logs; "|": let all be sent that can be at once."""
    for word in script.split():
        if word != "|":
            sender.notify(of, hook, word.rstrip("0123456789"), {"is": word})
        for _ in range(50 if word == "|" else 0):
            await asyncio.sleep(0)


def play(
    script: str, *answers: Answer, hook: Hook = HOOK, drain_s: float = 5, **options: Any
) -> Receiver:
    """Tell of one prediction and drain, which must leave neither tasks nor state."""

    async def scenario() -> Receiver:
        receiver = Receiver(*answers)
        sender = Webhooks(receiver, **DEFAULTS | options)
        await tell(sender, script, hook)
        await sender.drain(drain_s)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert (sender._lines, receiver.under_way) == ({}, [])
        return receiver

    return asyncio.run(scenario())


def test_the_signature_is_that_of_the_reference() -> None:
    message_id, body = "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}'
    assert signature_headers(SECRET, message_id, 1614265330, body) == {
        "webhook-id": message_id,
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_new_secret_is_24_bytes_of_standard_base64() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    for secret in secrets:
        prefix, key = secret.split("_")
        assert (prefix, len(base64.b64decode(key, validate=True))) == ("whsec", 24)


@pytest.mark.parametrize("secret", ["whsec_", "", "whsec_a_b-", "whsec_é"])
def test_a_secret_that_is_none_is_refused_and_not_quoted(secret: str) -> None:
    with pytest.raises(InputError, match="standard base64") as raised:
        Webhooks(Receiver(), secret)
    assert raised.value.value == "..."


def test_the_bytes_sent_are_compact_json_of_that_moment_and_are_what_is_signed() -> None:
    async def scenario() -> None:
        receiver = Receiver()
        sender = Webhooks(receiver, **DEFAULTS | {"now": lambda: 7.9})
        body: dict[str, object] = {"prompt": "é\ud800", "n": [1, None]}
        sender.notify("p", HOOK, "start", body)
        body["n"] = 2
        await sender.drain(5)
        ((sent, headers),) = receiver.sent
        assert sent == '{"prompt":"é?","n":[1,null]}'.encode()
        signature = signature_headers(SECRET, headers["webhook-id"], 7, sent)
        assert headers == {"content-type": "application/json", **signature}
        assert headers["webhook-id"].startswith("msg_")

    asyncio.run(scenario())


def test_without_a_secret_there_is_no_signature_and_a_bearer_is_sent() -> None:
    ((_, headers),) = play("start", secret=None, bearer="token").sent
    assert headers == {"content-type": "application/json", "authorization": "Bearer token"}


@pytest.mark.parametrize(
    ("script", "interval_s", "expected"),
    [
        ("start | logs1 | output1 | completed |", math.inf, "start logs1 output1 completed"),
        ("logs1 | logs2 | output1 | output2 |", 0, "logs1 logs2 output1 output2"),
        ("logs1 | output1 | start1 | start2 |", math.inf, "logs1 output1 start1 start2"),
        ("logs1 | output1 | logs2 output2 logs3", 0.02, "logs1 output1 output2 logs3"),
        ("logs1 | output1 | logs2 output2 | completed", 9, "logs1 output1 output2 completed"),
        ("start logs output completed", 0.02, "start output completed"),
        ("completed1 completed2 logs start completed3", 0, "completed1 start completed3"),
    ],
)
def test_what_is_sent_of_what_is_told(script: str, interval_s: float, expected: str) -> None:
    receiver = play(script, interval_s=interval_s)
    assert receiver.got == expected.split()
    assert len(receiver.ids) == len(receiver.sent)


def test_a_completed_nobody_asked_for_drops_nothing() -> None:
    hook = Hook(URL, frozenset({"logs"}))
    assert play("start logs1 | output logs2 completed logs3", hook=hook).got == ["logs1", "logs2"]


@pytest.mark.parametrize(
    ("event", "answers", "attempts"),
    [
        ("completed", [503, OSError("unreachable"), 200], 3),
        ("completed", [404, GenerationError("refused"), 500, 200], 3),
        ("completed", [302], 1),
        ("start", [500], 1),
        ("output", [OSError("unreachable")], 1),
        ("logs", [GenerationError("refused")], 1),
    ],
)
def test_completed_alone_is_retried(event: str, answers: list[Answer], attempts: int) -> None:
    receiver = play(event, *answers)
    assert receiver.got == [event] * attempts
    assert len(receiver.ids) == 1


def test_drain_cancels_what_is_too_late() -> None:
    assert play("logs1 | logs2", interval_s=math.inf, drain_s=SHORT_S).got == ["logs1"]
    assert play("start | completed", hook=SILENT, drain_s=SHORT_S).got == ["start"]
    assert play("completed", drain_s=0).got == []


def test_a_hook_that_never_answers_holds_up_no_other_prediction() -> None:
    async def scenario() -> None:
        receiver = Receiver()
        sender = Webhooks(receiver, **DEFAULTS)
        await tell(sender, "start1 |", SILENT, of="p")
        await tell(sender, "start2 | completed |", of="q")
        await tell(sender, "start3 completed |", Hook(URL, frozenset()), of="r")
        assert receiver.got == ["start1", "start2", "completed"]
        assert sender._lines.keys() == {"p"}  # the others have ended
        await sender.drain(SHORT_S)

    asyncio.run(scenario())


def test_a_host_that_never_answers_takes_few_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "MAX_ATTEMPTS_PER_HOST", 1)
    open_ones: list[str] = []

    async def hang(url: str, body: bytes, headers: Mapping[str, str], owner: str) -> int:
        open_ones.append(url)
        await asyncio.Event().wait()
        return 200

    async def scenario() -> None:
        sender = Webhooks(hang, **DEFAULTS)
        for number in range(5):
            await tell(
                sender, "start |", Hook(f"http://hangs/{number}", HOOK.events), of=str(number)
            )
        await tell(sender, "start |", Hook("http://other/", HOOK.events), of="other")
        assert open_ones == ["http://hangs/0", "http://other/"]
        await sender.drain(SHORT_S)

    asyncio.run(scenario())


def test_hosts_of_one_owner_that_never_answer_hold_up_no_other_owner() -> None:
    open_ones: list[str] = []

    async def hang(url: str, body: bytes, headers: Mapping[str, str], owner: str) -> int:
        open_ones.append(owner)
        await asyncio.Event().wait()
        return 200

    async def scenario() -> None:
        sender = Webhooks(hang, **DEFAULTS)
        for number in range(2 * webhooks.MAX_ATTEMPTS):
            hook = Hook(f"http://hangs{number}/", HOOK.events, owner="many")
            await tell(sender, "start |", hook, of=str(number))
        await tell(sender, "start |", Hook("http://hangs0/", HOOK.events, owner="one"), of="one")
        assert open_ones.count("many") == webhooks.MAX_ATTEMPTS_PER_OWNER
        assert open_ones.count("one") == 1
        await sender.drain(SHORT_S)

    asyncio.run(scenario())


def test_failures_are_logged_with_the_host_only(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "toccata"):
        play("start1 start2", OSError(f"cannot reach {URL}"), 500)
        play("start", 400, hook=Hook("http://[hidden", HOOK.events))
    assert [record.getMessage() for record in caplog.records] == [
        "webhook start to hooks.example failed: OSError",
        "webhook start to hooks.example failed: status 500",
        "webhook start to an unreadable URL failed: status 400",
    ]


@pytest.mark.parametrize(
    ("script", "answers", "told"),
    [
        ("start | completed", [], ["p"]),
        ("completed", [500, 500, 500, 500], ["p"]),
        ("start | output", [], []),
    ],
)
def test_who_was_told_of_the_end_is_known(
    script: str, answers: list[Answer], told: list[str]
) -> None:
    heard: list[str] = []
    play(script, *answers, on_told=heard.append)
    assert heard == told


def test_an_end_that_was_cut_off_is_not_taken_for_told_and_has_the_same_id_again() -> None:
    heard: list[str] = []
    play("completed", hook=SILENT, drain_s=SHORT_S, on_told=heard.append)
    assert heard == []
    first, again = play("completed1"), play("completed1")
    assert first.ids == again.ids != play("completed2").ids
