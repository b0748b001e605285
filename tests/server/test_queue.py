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


def called(line: PredictionQueue) -> list[str]:
    """Everybody who gets a slot now; whoever waits is made ready before."""
    while (one := line.prepare_next()) is not None:
        line.make_ready(one)
    found = []
    while (one := line.call()) is not None:
        found.append(one)
    return found


def made(line: PredictionQueue) -> list[str]:
    """Everybody who gets a slot now, begun by the worker."""
    found = called(line)
    for one in found:
        line.give(one)
        line.begin(one)
    return found


def joined(line: PredictionQueue, names: str) -> PredictionQueue:
    for name in names:
        line.join(name)
    return line


def lost(line: PredictionQueue) -> LostPredictions:
    """What a dead worker had, its suspects put into quarantine."""
    found = line.lose()
    for one in found.ran:
        line.quarantine(one)
    return found


def test_who_waits_longest_is_first() -> None:
    line = joined(PredictionQueue(2), "abc")
    assert called(line) == ["a", "b"]
    assert (line.waiting, line.active) == (1, 2)
    line.leave("b")
    assert called(line) == ["c"]


def test_who_leaves_the_line_is_not_called() -> None:
    line = joined(PredictionQueue(1), "abc")
    line.leave("a")
    line.leave("a")
    assert (line.waiting, called(line)) == (2, ["b"])


def test_who_is_not_ready_is_passed() -> None:
    line = joined(PredictionQueue(2), "ab")
    line.join("slow", QueueEntry(fetches=True))
    joined(line, "c")
    for one in "abc":
        assert line.prepare_next() in ("a", "b", "c", "slow")
        line.make_ready(one)
    assert [line.call(), line.call(), line.call()] == ["a", "b", None]
    line.leave("a")
    line.make_ready("slow")
    assert line.call() == "slow"


def test_who_alone_was_made_is_to_blame() -> None:
    line = joined(PredictionQueue(1), "ab")
    assert made(line) == ["a"]
    assert lost(line) == LostPredictions(("a",), "a", ("a",))
    assert made(line) == ["a"]


def test_who_was_not_begun_is_no_suspect() -> None:
    line = joined(PredictionQueue(2), "abc")
    for one in called(line):
        line.give(one)
    line.begin("b")
    assert lost(line) == LostPredictions(("a", "b"), "b", ("b",))
    assert made(line) == ["a"]  # b must be alone
    line.leave("a")
    assert made(line) == ["b"]
    line.leave("b")
    assert made(line) == ["c"]


def test_suspects_are_made_one_by_one_before_all_others() -> None:
    line = joined(PredictionQueue(3), "abcdef")
    assert made(line) == ["a", "b", "c"]
    assert lost(line) == LostPredictions(("a", "b", "c"), None, ("a", "b", "c"))
    for one in "abc":
        assert made(line) == [one]
        assert called(line) == []
        line.leave(one)
    assert made(line) == ["d", "e", "f"]


def test_a_suspect_that_kills_again_is_blamed_and_the_others_are_not() -> None:
    line = joined(PredictionQueue(3), "axb")
    made(line)
    lost(line)
    made(line)
    line.leave("a")
    for _ in range(2):
        assert made(line) == ["x"]
        assert lost(line) == LostPredictions(("x",), "x", ("x",))
    line.leave("x")
    assert made(line) == ["b"]


def test_one_that_killed_before_a_restart_is_a_suspect() -> None:
    line = joined(PredictionQueue(2), "a")
    line.join("x", QueueEntry(quarantined=True))
    line.join("b")
    assert made(line) == ["a"]
    line.leave("a")
    assert made(line) == ["x"]
    line.leave("x")
    assert made(line) == ["b"]


def test_a_message_of_one_that_is_gone_changes_nothing() -> None:
    line = PredictionQueue(1)
    line.begin("nobody")
    line.leave("nobody")
    assert (line.waiting, line.active, lost(line)) == (0, 0, LostPredictions(()))


@drawn(st.integers(1, 4), st.lists(st.sampled_from("rcgbld"), max_size=60))
def test_nobody_is_lost_and_no_slot_is_given_twice(slots: int, moves: list[str]) -> None:
    line = joined(PredictionQueue(slots), "01234567")
    left: set[str] = set()
    held: dict[str, str] = {}
    for move in moves:
        if move == "r" and (one := line.prepare_next()) is not None:
            line.make_ready(one)
        elif move == "c" and (one := line.call()) is not None:
            assert one not in held
            held[one] = "ready"
        elif move in "gb":
            for one in [one for one, phase in held.items() if move == "b" or phase == "ready"][:1]:
                line.give(one)
                held[one] = "given"
                if move == "b":
                    line.begin(one)
        elif move == "l" and held:
            one = next(iter(held))
            line.leave(one)
            left.add(one)
            del held[one]
        elif move == "d":
            assert set(lost(line).ids) == {one for one, phase in held.items() if phase == "given"}
            held = {one: phase for one, phase in held.items() if phase == "ready"}
        assert line.active == len(held) <= slots
        assert line.waiting + line.active + len(left) == 8
    for _ in range(8):  # and everybody's turn comes
        for one in [*held, *called(line)]:
            line.leave(one)
            left.add(one)
        held = {}
    assert len(left) == 8


def test_who_is_wide_takes_several_slots_and_is_not_passed_by() -> None:
    line = joined(PredictionQueue(3), "a")
    line.join("b", QueueEntry(width=3))
    joined(line, "c")
    assert called(line) == ["a"]
    fullness = [line.slots_left]
    line.leave("a")
    assert called(line) == ["b"]
    fullness.append(line.slots_left)
    assert fullness == [0, 0]
    line.leave("b")
    assert called(line) == ["c"]


def test_who_is_too_wide_is_made_alone() -> None:
    line = PredictionQueue(2)
    line.join("a", QueueEntry(width=8))
    joined(line, "b")
    assert called(line) == ["a"]
    line.leave("a")
    assert called(line) == ["b"]


def test_a_death_that_nobody_caused_puts_nobody_into_quarantine() -> None:
    line = joined(PredictionQueue(2), "abc")
    assert made(line) == ["a", "b"]
    assert line.lose(suspect=False) == LostPredictions(("a", "b"))
    assert made(line) == ["a", "b"]


def test_owners_take_turns() -> None:
    line = PredictionQueue(2)
    for one in ("a1", "a2", "a3"):
        line.join(one, QueueEntry(owner="a"))
    line.join("b1", QueueEntry(owner="b"))
    assert made(line) == ["a1", "b1"]
    line.leave("a1")
    assert made(line) == ["a2"]
    assert (line.waiting_of("a"), line.waiting_of("b")) == (1, 0)


def test_long_pieces_leave_slots_to_short_ones() -> None:
    line = PredictionQueue(8)
    for number in range(8):
        line.join(f"long {number}", QueueEntry(owner="a", is_long=True))
    assert len(made(line)) == line.long_slots == 6
    line.join("short", QueueEntry(owner="b"))
    assert made(line) == ["short"]
    alone = PredictionQueue(1)
    alone.join("long", QueueEntry(is_long=True))
    assert made(alone) == ["long"]


def test_one_owner_does_not_keep_others_from_fetching() -> None:
    line = PredictionQueue(1)
    for number in range(2 * MAX_FETCHES):
        line.join(f"a{number}", QueueEntry(owner="a", fetches=True))
    line.join("text only", QueueEntry(owner="a"))
    fetching = []
    while (one := line.prepare_next()) is not None:
        fetching.append(one)
    assert len(fetching) == MAX_FETCHES_PER_OWNER + 1
    assert "text only" in fetching
    line.join("b", QueueEntry(owner="b", fetches=True))
    assert line.prepare_next() == "b"


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
    assert place_of(prediction(input=given), 3).is_long == is_long
