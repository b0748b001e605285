"""Whose turn it is, and who is blamed when the worker dies."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from toccata.server.line import Line, Lost


def called(line: Line) -> list[str]:
    """Everybody who gets a slot now."""
    found = []
    while (one := line.call()) is not None:
        found.append(one)
    return found


def made(line: Line) -> list[str]:
    """Everybody who gets a slot now, begun by the worker."""
    found = called(line)
    for one in found:
        line.give(one)
        line.begin(one)
    return found


def joined(line: Line, names: str) -> Line:
    for name in names:
        line.join(name)
    return line


def test_who_waits_longest_is_first() -> None:
    line = joined(Line(2), "abc")
    assert called(line) == ["a", "b"]
    assert (line.waiting, line.active) == (1, 2)
    line.leave("b")
    assert called(line) == ["c"]


def test_who_leaves_the_line_is_not_called() -> None:
    line = joined(Line(1), "abc")
    line.leave("a")
    line.leave("a")
    assert (line.waiting, called(line)) == (2, ["b"])


def test_who_gets_ready_stays_when_the_worker_dies() -> None:
    line = joined(Line(3), "abc")
    assert called(line) == ["a", "b", "c"]
    line.give("b")
    assert line.lose() == Lost(("b",), None)
    assert (line.has_slot("a"), line.has_slot("b"), line.with_worker("a")) == (True, False, False)
    assert called(line) == ["b"]


def test_who_alone_was_made_is_to_blame() -> None:
    line = joined(Line(1), "ab")
    assert made(line) == ["a"]
    assert line.lose() == Lost(("a",), "a")
    assert made(line) == ["a"]


def test_who_was_not_begun_is_no_suspect() -> None:
    line = joined(Line(2), "abc")
    for one in called(line):
        line.give(one)
    line.begin("b")
    assert line.lose() == Lost(("a", "b"), "b")
    assert made(line) == ["a"]  # b must be alone
    line.leave("a")
    assert made(line) == ["b"]
    line.leave("b")
    assert made(line) == ["c"]


def test_suspects_are_made_one_by_one_before_all_others() -> None:
    line = joined(Line(3), "abcdef")
    assert made(line) == ["a", "b", "c"]
    assert line.lose() == Lost(("a", "b", "c"), None)
    for one in "abc":
        assert made(line) == [one]
        assert called(line) == []
        line.leave(one)
    assert made(line) == ["d", "e", "f"]


def test_a_suspect_that_kills_again_is_blamed_and_the_others_are_not() -> None:
    line = joined(Line(3), "axb")
    made(line)
    line.lose()
    made(line)
    line.leave("a")
    for _ in range(2):
        assert made(line) == ["x"]
        assert line.lose() == Lost(("x",), "x")
    line.leave("x")
    assert made(line) == ["b"]


def test_one_that_killed_before_a_restart_is_a_suspect() -> None:
    line = joined(Line(2), "a")
    line.join("x", suspect=True)
    line.join("b")
    assert made(line) == ["a"]
    line.leave("a")
    assert made(line) == ["x"]
    line.leave("x")
    assert made(line) == ["b"]


def test_a_message_of_one_that_is_gone_changes_nothing() -> None:
    line = Line(1)
    line.begin("nobody")
    line.leave("nobody")
    assert (line.waiting, line.active, line.lose()) == (0, 0, Lost((), None))


@given(st.integers(1, 4), st.lists(st.sampled_from("cgbld"), max_size=60))
def test_nobody_is_lost_and_no_slot_is_given_twice(slots: int, moves: list[str]) -> None:
    line = joined(Line(slots), "01234567")
    left: set[str] = set()
    held: dict[str, str] = {}
    for move in moves:
        if move == "c" and (one := line.call()) is not None:
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
            lost = line.lose()
            assert set(lost.ids) == {one for one, phase in held.items() if phase == "given"}
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
    line = joined(Line(3), "a")
    line.join("b", width=3)
    joined(line, "c")
    assert called(line) == ["a"]
    fullness = [line.full]
    line.leave("a")
    assert called(line) == ["b"]
    fullness.append(line.full)
    assert fullness == [False, True]
    line.leave("b")
    assert called(line) == ["c"]


def test_who_is_too_wide_is_made_alone() -> None:
    line = Line(2)
    line.join("a", width=8)
    joined(line, "b")
    assert called(line) == ["a"]
    line.leave("a")
    assert called(line) == ["b"]
