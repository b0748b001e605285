"""Whose turn it is, and who is blamed when the worker dies."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from tests.server.test_repository import prediction
from toccata.server.predictions.preparation import place_of
from toccata.server.predictions.queue import (
    MAX_FETCHES,
    MAX_FETCHES_PER_OWNER,
    LostPredictions,
    PredictionQueue,
    QueueEntry,
)


def called(queue: PredictionQueue) -> list[str]:
    """Everybody who gets a slot now; whoever waits is made ready before."""
    while (one := queue.prepare_next()) is not None:
        queue.make_ready(one)
    found = []
    while (one := queue.acquire()) is not None:
        found.append(one)
    return found


def made(queue: PredictionQueue) -> list[str]:
    """Everybody who gets a slot now, begun by the worker."""
    found = called(queue)
    for one in found:
        queue.dispatch(one)
        queue.begin(one)
    return found


def joined(queue: PredictionQueue, names: str) -> PredictionQueue:
    for name in names:
        queue.join(name)
    return queue


def lost(queue: PredictionQueue) -> LostPredictions:
    """What a dead worker had, its suspects put into quarantine."""
    found = queue.lose()
    for one in found.ran:
        queue.quarantine(one)
    return found


def test_who_waits_longest_is_first() -> None:
    queue = joined(PredictionQueue(2), "abc")
    assert called(queue) == ["a", "b"]
    assert (queue.waiting, queue.active) == (1, 2)
    queue.leave("b")
    assert called(queue) == ["c"]


def test_who_leaves_the_line_is_not_called() -> None:
    queue = joined(PredictionQueue(1), "abc")
    queue.leave("a")
    queue.leave("a")
    assert (queue.waiting, called(queue)) == (2, ["b"])


def test_who_is_not_ready_is_passed() -> None:
    queue = joined(PredictionQueue(2), "ab")
    queue.join("slow", QueueEntry(fetches=True))
    joined(queue, "c")
    for one in "abc":
        assert queue.prepare_next() in ("a", "b", "c", "slow")
        queue.make_ready(one)
    assert [queue.acquire(), queue.acquire(), queue.acquire()] == ["a", "b", None]
    queue.leave("a")
    queue.make_ready("slow")
    assert queue.acquire() == "slow"


def test_who_alone_was_made_is_to_blame() -> None:
    queue = joined(PredictionQueue(1), "ab")
    assert made(queue) == ["a"]
    assert lost(queue) == LostPredictions(("a",), "a", ("a",))
    assert made(queue) == ["a"]


def test_who_was_not_begun_is_no_suspect() -> None:
    queue = joined(PredictionQueue(2), "abc")
    for one in called(queue):
        queue.dispatch(one)
    queue.begin("b")
    assert lost(queue) == LostPredictions(("a", "b"), "b", ("b",))
    assert made(queue) == ["a"]  # b must be alone
    queue.leave("a")
    assert made(queue) == ["b"]
    queue.leave("b")
    assert made(queue) == ["c"]


def test_suspects_are_made_one_by_one_before_all_others() -> None:
    queue = joined(PredictionQueue(3), "abcdef")
    assert made(queue) == ["a", "b", "c"]
    assert lost(queue) == LostPredictions(("a", "b", "c"), None, ("a", "b", "c"))
    for one in "abc":
        assert made(queue) == [one]
        assert called(queue) == []
        queue.leave(one)
    assert made(queue) == ["d", "e", "f"]


def test_a_suspect_that_kills_again_is_blamed_and_the_others_are_not() -> None:
    queue = joined(PredictionQueue(3), "axb")
    made(queue)
    lost(queue)
    made(queue)
    queue.leave("a")
    for _ in range(2):
        assert made(queue) == ["x"]
        assert lost(queue) == LostPredictions(("x",), "x", ("x",))
    queue.leave("x")
    assert made(queue) == ["b"]


def test_one_that_killed_before_a_restart_is_a_suspect() -> None:
    queue = joined(PredictionQueue(2), "a")
    queue.join("x", QueueEntry(quarantined=True))
    queue.join("b")
    assert made(queue) == ["a"]
    queue.leave("a")
    assert made(queue) == ["x"]
    queue.leave("x")
    assert made(queue) == ["b"]


def test_a_message_of_one_that_is_gone_changes_nothing() -> None:
    queue = PredictionQueue(1)
    queue.begin("nobody")
    queue.leave("nobody")
    assert (queue.waiting, queue.active, lost(queue)) == (0, 0, LostPredictions(()))


@drawn(st.integers(1, 4), st.lists(st.sampled_from("rcgbld"), max_size=60))
def test_nobody_is_lost_and_no_slot_is_given_twice(slots: int, moves: list[str]) -> None:
    queue = joined(PredictionQueue(slots), "01234567")
    left: set[str] = set()
    held: dict[str, str] = {}
    for move in moves:
        if move == "r" and (one := queue.prepare_next()) is not None:
            queue.make_ready(one)
        elif move == "c" and (one := queue.acquire()) is not None:
            assert one not in held
            held[one] = "ready"
        elif move in "gb":
            for one in [one for one, phase in held.items() if move == "b" or phase == "ready"][:1]:
                queue.dispatch(one)
                held[one] = "given"
                if move == "b":
                    queue.begin(one)
        elif move == "l" and held:
            one = next(iter(held))
            queue.leave(one)
            left.add(one)
            del held[one]
        elif move == "d":
            assert set(lost(queue).ids) == {one for one, phase in held.items() if phase == "given"}
            held = {one: phase for one, phase in held.items() if phase == "ready"}
        assert queue.active == len(held) <= slots
        assert queue.waiting + queue.active + len(left) == 8
    for _ in range(8):  # and everybody's turn comes
        for one in [*held, *called(queue)]:
            queue.leave(one)
            left.add(one)
        held = {}
    assert len(left) == 8


def test_who_is_wide_takes_several_slots_and_is_not_passed_by() -> None:
    queue = joined(PredictionQueue(3), "a")
    queue.join("b", QueueEntry(width=3))
    joined(queue, "c")
    assert called(queue) == ["a"]
    fullness = [queue.slots_left]
    queue.leave("a")
    assert called(queue) == ["b"]
    fullness.append(queue.slots_left)
    assert fullness == [0, 0]
    queue.leave("b")
    assert called(queue) == ["c"]


def test_who_is_too_wide_is_made_alone() -> None:
    queue = PredictionQueue(2)
    queue.join("a", QueueEntry(width=8))
    joined(queue, "b")
    assert called(queue) == ["a"]
    queue.leave("a")
    assert called(queue) == ["b"]


def test_a_death_that_nobody_caused_puts_nobody_into_quarantine() -> None:
    queue = joined(PredictionQueue(2), "abc")
    assert made(queue) == ["a", "b"]
    assert queue.lose(suspect=False) == LostPredictions(("a", "b"))
    assert made(queue) == ["a", "b"]


def test_owners_take_turns() -> None:
    queue = PredictionQueue(2)
    for one in ("a1", "a2", "a3"):
        queue.join(one, QueueEntry(owner="a"))
    queue.join("b1", QueueEntry(owner="b"))
    assert made(queue) == ["a1", "b1"]
    queue.leave("a1")
    assert made(queue) == ["a2"]
    assert (queue.waiting_of("a"), queue.waiting_of("b")) == (1, 0)


def test_long_pieces_leave_slots_to_short_ones() -> None:
    queue = PredictionQueue(8)
    for number in range(8):
        queue.join(f"long {number}", QueueEntry(owner="a", is_long=True))
    assert len(made(queue)) == queue.long_slots == 6
    queue.join("short", QueueEntry(owner="b"))
    assert made(queue) == ["short"]
    alone = PredictionQueue(1)
    alone.join("long", QueueEntry(is_long=True))
    assert made(alone) == ["long"]


def short_and_wide(queue: PredictionQueue, width: int) -> None:
    queue.join("wide", QueueEntry(owner="wide", width=width))
    queue.join("short", QueueEntry(owner="short"))


def test_who_is_wide_takes_the_slots_that_long_pieces_leave() -> None:
    """A long piece lasts for hours: neither who is wide nor those behind it wait for its end."""
    queue = PredictionQueue(4)
    queue.join("long", QueueEntry(owner="long", is_long=True))
    assert made(queue) == ["long"]
    short_and_wide(queue, 4)
    assert made(queue) == ["wide"]
    assert queue.width_of("wide") == 3
    queue.leave("wide")
    assert made(queue) == ["short"]


def test_who_is_wide_waits_for_short_pieces_and_is_not_passed_for_ever() -> None:
    queue = PredictionQueue(4)
    for one in ("long", "first"):
        queue.join(one, QueueEntry(owner=one, is_long=one == "long"))
    assert made(queue) == ["long", "first"]
    short_and_wide(queue, 8)
    assert made(queue) == []
    queue.leave("first")
    assert made(queue) == ["wide"]
    assert queue.width_of("wide") == 3


def test_who_is_long_and_wide_is_not_passed_by_other_long_pieces_for_ever() -> None:
    queue = PredictionQueue(8)
    queue.join("long", QueueEntry(owner="a", is_long=True))
    assert made(queue) == ["long"]
    queue.join("wide", QueueEntry(owner="b", width=8, is_long=True))
    queue.join("other", QueueEntry(owner="c", is_long=True))
    assert made(queue) == ["wide"]
    assert queue.width_of("wide") == queue.long_slots - 1
    queue.leave("long")
    assert made(queue) == ["other"]


def test_one_in_quarantine_waits_for_a_long_piece_and_nobody_for_it() -> None:
    queue = PredictionQueue(4)
    queue.join("long", QueueEntry(owner="a", is_long=True))
    assert made(queue) == ["long"]
    queue.join("suspect", QueueEntry(owner="b", quarantined=True))
    queue.join("next long", QueueEntry(owner="c", is_long=True))
    queue.join("short", QueueEntry(owner="d"))
    assert made(queue) == ["short"]  # and no other long piece, so that its turn comes
    queue.leave("long")
    assert made(queue) == []
    queue.leave("short")
    assert made(queue) == ["suspect"]
    assert made(queue) == []
    queue.leave("suspect")
    assert made(queue) == ["next long"]


ENTRIES = st.builds(
    QueueEntry,
    owner=st.sampled_from("abc"),
    width=st.integers(1, 8),
    is_long=st.booleans(),
    quarantined=st.booleans(),
)


@drawn(st.integers(2, 9), st.lists(ENTRIES, min_size=1, max_size=12))
def test_a_short_piece_waits_for_no_long_one(slots: int, drawn_entries: list[QueueEntry]) -> None:
    """Long pieces never end here: however many and wide they are, every short one has its turn."""
    entries = {str(number): entry for number, entry in enumerate(drawn_entries)}
    queue = PredictionQueue(slots)
    for one, entry in entries.items():
        queue.join(one, entry)
    running, ended = set[str](), set[str]()
    for _ in range(2 * len(entries)):
        running |= set(made(queue))
        assert sum(map(queue.width_of, running)) <= slots
        for one in [one for one in running if not entries[one].is_long]:
            queue.leave(one)
            running.discard(one)
            ended.add(one)
    if not any(entries[one].quarantined for one in running):  # that one runs alone
        short = {one for one in entries if not entries[one].is_long}
        assert all(entries[one].quarantined for one in short - ended)


def test_one_owner_does_not_keep_others_from_fetching() -> None:
    queue = PredictionQueue(1)
    for number in range(2 * MAX_FETCHES):
        queue.join(f"a{number}", QueueEntry(owner="a", fetches=True))
    queue.join("text only", QueueEntry(owner="a"))
    fetching = []
    while (one := queue.prepare_next()) is not None:
        fetching.append(one)
    assert len(fetching) == MAX_FETCHES_PER_OWNER + 1
    assert "text only" in fetching
    queue.join("b", QueueEntry(owner="b", fetches=True))
    assert queue.prepare_next() == "b"


@pytest.mark.parametrize(
    ("given", "is_long"),
    [
        ({"duration": 60}, False),
        ({"duration": 61}, True),
        ({"model_version": "encode-decode", "duration": 8}, True),  # its audio may be an hour
        ({"model_version": "encode-decode", "continuation_end": 40}, False),
        ({"model_version": "encode-decode", "continuation_end": -1}, True),
        (
            {"model_version": "encode-decode", "continuation_start": 60, "continuation_end": 90},
            False,
        ),
    ],
)
def test_what_is_long(given: dict[str, Any], is_long: bool) -> None:
    assert place_of(prediction(input=given)).is_long == is_long
