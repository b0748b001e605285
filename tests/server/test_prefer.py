from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toccata.errors import InputError
from toccata.server.api.replicate.prefer import parse_duration_s, read_timeout_s, wait_s

MAX_S = 55.0


@pytest.mark.parametrize(
    ("prefer", "expected_s"),
    [
        (None, None),
        ("", None),
        ("wait", MAX_S),
        ("Wait", MAX_S),
        ('wait=""', MAX_S),
        ("wait=10", 10),
        ("wait = 10", 10),
        ('wait="10"', 10),
        ("wait=0", 1),
        ("wait=120", MAX_S),
        ("wait=" + "9" * 5000, MAX_S),
        ("wait=10; strict", 10),
        ("respond-async, wait=10", 10),
        (" respond-async ,\twait ", MAX_S),
        ('note="a, wait=3; b", wait=10', 10),
        (r'note="a\", wait=3", wait=10', 10),
        ('note="never closed, wait=10', None),
        ("wait=3, wait=10", 3),
        ("wait=soon, wait=10", None),
        ("wait=", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=٣", None),
        ("waiting=10", None),
        ("respond-async", None),
        ('note="wait"', None),
        (",,;=,", None),
    ],
)
def test_wait_is_found_among_the_preferences(prefer: str | None, expected_s: float | None) -> None:
    assert wait_s(prefer, MAX_S) == expected_s


@given(st.text(alphabet='wait=0123456789,;" \\\t') | st.text())
def test_any_header_gives_a_wait_within_bounds_or_none(prefer: str) -> None:
    held_s = wait_s(prefer, MAX_S)
    assert held_s is None or 1 <= held_s <= MAX_S


@given(st.text(), st.integers(1, 55))
def test_quoted_text_before_it_hides_no_wait(text: str, seconds: int) -> None:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
    assert wait_s(f'note="{quoted}", wait={seconds}', MAX_S) == seconds


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [("30", 30), ("30s", 30), ("5m", 300), ("2h30m", 9000), ("1h30m45s", 5445), (" 5 ", 5)],
)
def test_durations_are_read(text: str, expected_s: float) -> None:
    assert parse_duration_s(text) == expected_s


@given(st.integers(0, 999_999), st.integers(0, 999_999), st.integers(5, 999_999))
def test_a_duration_is_the_sum_of_its_parts(hours: int, minutes: int, seconds: int) -> None:
    total_s = 3600 * hours + 60 * minutes + seconds
    assert parse_duration_s(f"{hours}h{minutes}m{seconds}s") == total_s


@pytest.mark.parametrize(
    "text", ["", "4", "4s", "0h", "h", "30m2h", "2h30", "1.5h", "-30", "5M", "5 m", "1234567", "٣٠"]
)
def test_other_durations_are_refused_with_the_header_named(text: str) -> None:
    with pytest.raises(InputError, match="at least 5 s") as raised:
        parse_duration_s(text)
    assert raised.value.field == "Cancel-After"
    assert raised.value.value == text


@given(st.text(alphabet="0123456789hms ") | st.text())
def test_any_text_is_a_duration_of_5_s_or_refused(text: str) -> None:
    with suppress(InputError):
        assert parse_duration_s(text) >= 5


@pytest.mark.parametrize(
    ("value", "expected_s"),
    [
        ("60", 60),
        ("60.5", 60.5),
        (" 60 ", 60),
        ("0", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("None", None),
        ("9" * 400, None),
    ],
)
def test_a_read_timeout_is_a_positive_number(value: str, expected_s: float | None) -> None:
    assert read_timeout_s({"x-stainless-read-timeout": value}) == expected_s


def test_without_the_header_there_is_no_read_timeout() -> None:
    assert read_timeout_s({}) is None
