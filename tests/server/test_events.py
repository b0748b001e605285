import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toccata.server.predictions.events import EVENTS, KEEP_ALIVE, EventLog, frame

Event = tuple[str, str, str]  # name, id, data


def parsed(lines: list[str]) -> list[Event]:
    """What a client makes of the lines of a stream."""
    events: list[Event] = []
    data: list[str] = []
    name, event_id = "message", ""
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line and data:
            events.append((name, event_id, "\n".join(data)))
            name, data = "message", []
        elif field == "event":
            name = value
        elif field == "id":
            event_id = value
        elif field == "data":
            data.append(value)
    return events


def by_standard(stream: bytes) -> list[Event]:
    return parsed(re.split("\r\n|\r|\n", stream.decode()))


def by_splitlines(stream: bytes) -> list[Event]:
    return parsed(stream.decode().splitlines())


def log_of(*events: tuple[str, str], most_events: int = 10_000) -> EventLog:
    log = EventLog(most_events, now=lambda: 1_700_000_000.9)
    for name, data in events:
        log.add(name, data)
    return log


async def read(log: EventLog, after: str | None = None) -> list[Event]:
    """All that a reader is sent."""
    return by_standard(b"".join([chunk async for chunk in log.frames(after)]))


def names_of(sent: list[bytes]) -> list[str]:
    return [name for name, _, _ in by_standard(b"".join(sent))]


def test_a_frame_has_event_id_and_one_data_line_per_line() -> None:
    sent = frame("logs", "one\r\ntwo\rthree\n", "1700000000:7")
    assert sent == b"event: logs\nid: 1700000000:7\ndata: one\ndata: two\ndata: three\ndata: \n\n"


LINE_ENDS = ("\r\n", *"\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")
FIELDS = ("event: error", "id: 1:1", "data: x", "retry: 1", ":", " ", "é", "\0", "\ufeff")


@given(
    st.sampled_from(EVENTS),
    st.lists(st.sampled_from(LINE_ENDS + FIELDS) | st.text(st.characters(codec="utf-8"))),
)
def test_data_arrives_whole_and_adds_no_field(name: str, pieces: list[str]) -> None:
    data = "".join(pieces)
    sent = frame(name, data, "1:2")
    expected = [(name, "1:2", re.sub("|".join(LINE_ENDS), "\n", data))]
    assert by_standard(sent) == expected
    assert by_splitlines(sent) == expected


def test_readers_share_the_bytes_of_an_event() -> None:
    """An output may be a data URI of megabytes, and readers may be many."""

    async def run() -> list[bytes]:
        log = log_of(("output", "data:audio/wav;base64," + "A" * 10_000))
        return [await anext(log.frames()) for _ in range(2)]

    first, second = asyncio.run(run())
    assert first is second


def test_half_a_surrogate_pair_is_sent_as_a_question_mark() -> None:
    assert by_standard(frame("output", "a\ud800b", "1:2")) == [("output", "1:2", "a?b")]


@pytest.mark.parametrize("event_id", ["", "1", "1:2\n", "1:2\ndata: x", "a:b", "1:2\0"])
def test_an_id_of_another_form_is_refused(event_id: str) -> None:
    with pytest.raises(ValueError, match="unix seconds"):
        frame("output", "", event_id)


@pytest.mark.parametrize("name", ["start", "ping", "", "output\ndata: x"])
def test_there_are_no_other_event_names(name: str) -> None:
    with pytest.raises(ValueError, match="is not one of"):
        frame(name, "", "1:2")
    with pytest.raises(ValueError, match="is not one of"):
        EventLog().add(name, "")


def test_a_late_reader_gets_everything_and_nothing_follows_done() -> None:
    log = log_of(("logs", "a\n"), ("output", "b"), ("done", "{}"), ("logs", "late"))
    assert asyncio.run(read(log)) == [
        ("logs", "1700000000:0", "a\n"),
        ("output", "1700000000:1", "b"),
        ("done", "1700000000:2", "{}"),
    ]


FOREIGN = ("1700000000:3", "1600000000:1", "1700000000:-1", "x", "", "9" * 5000 + ":1")


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("1700000000:0", ["b", "{}"]),
        ("1700000000:2", []),
        *((after, ["a", "b", "{}"]) for after in FOREIGN),
    ],
)
def test_a_reader_goes_on_after_an_id_of_this_log(after: str, expected: list[str]) -> None:
    log = log_of(("logs", "a"), ("output", "b"), ("done", "{}"))
    assert [data for _, _, data in asyncio.run(read(log, after))] == expected


def test_readers_who_wait_all_get_what_comes() -> None:
    async def run() -> list[list[Event]]:
        log = log_of()
        readers = [asyncio.create_task(read(log)) for _ in range(3)]
        for name in ("logs", "output", "done"):
            await asyncio.sleep(0)
            log.add(name, name)
        return await asyncio.gather(*readers)

    for events in asyncio.run(run()):
        assert [name for name, _, _ in events] == ["logs", "output", "done"]


def test_events_added_while_a_frame_is_being_sent_are_not_missed() -> None:
    async def run() -> list[bytes]:
        log, sent = log_of(("logs", "a")), []
        async for chunk in log.frames():
            sent.append(chunk)
            log.add("output" if len(sent) == 1 else "done", "b")
        return sent

    assert names_of(asyncio.run(run())) == ["logs", "output", "done"]


def test_silence_is_broken_by_comments_that_are_no_events() -> None:
    async def run() -> list[bytes]:
        log, sent = log_of(), []
        async for chunk in log.frames(keep_alive_s=0.01):
            sent.append(chunk)
            if len(sent) == 3:
                log.add("done", "{}")
        return sent

    sent = asyncio.run(run())
    assert sent[:3] == [KEEP_ALIVE] * 3
    assert names_of(sent) == ["done"]


def test_too_many_logs_are_merged_and_no_text_is_lost() -> None:
    logs = [("logs", f"line {number}\n") for number in range(100)]
    events = [*logs[:50], ("output", "song.wav"), *logs[50:], ("done", "{}")]
    log = log_of(*events, most_events=10)
    kept = asyncio.run(read(log))
    assert len(kept) <= 10
    assert [data for name, _, data in kept if name == "output"] == ["song.wav"]
    assert kept[-1] == ("done", "1700000000:101", "{}")
    text = "".join(data for name, _, data in kept if name == "logs")
    assert text == "".join(data for _, data in logs)
    assert asyncio.run(read(log, "1700000000:99")) == kept[-2:]


@given(st.lists(st.sampled_from(["output", "logs", "error"]), max_size=60))
def test_a_log_never_keeps_more_than_its_bound_and_ids_rise(names: list[str]) -> None:
    kept = asyncio.run(read(log_of(*((name, "") for name in [*names, "done"]), most_events=8)))
    numbers = [int(event_id.partition(":")[2]) for _, event_id, _ in kept]
    assert len(kept) <= 8
    assert numbers == sorted(set(numbers))
    assert kept[-1][0] == "done"


def test_a_reader_who_is_far_behind_misses_no_text() -> None:
    async def run() -> bytes:
        log = log_of(("logs", "0 "), most_events=10)
        frames = log.frames()
        sent = [await anext(frames)]
        for number in range(1, 30):
            log.add("logs", f"{number} ")
        log.add("done", "{}")
        return b"".join([*sent, *[chunk async for chunk in frames]])

    text = "".join(data for name, _, data in by_standard(asyncio.run(run())) if name == "logs")
    assert text.endswith("".join(f"{number} " for number in range(30)))
