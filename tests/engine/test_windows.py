from hypothesis import given
from hypothesis import strategies as st

from toccata.engine.windows import Window, plan, usable_prompt


def test_the_picture_in_the_docstring() -> None:
    assert list(plan(0, 12, segment=6, stride=4)) == [
        Window(0, 6, 0),
        Window(4, 6, 2),
        Window(8, 4, 2),
    ]


def test_a_clip_that_fits_is_one_window() -> None:
    assert list(plan(500, 1000, segment=1500, stride=900)) == [Window(0, 1500, 500)]
    assert usable_prompt(1100, 400, segment=1500, stride=900) == 1100


@given(st.integers(0, 99), st.integers(1, 99), st.integers(1, 20), st.data())
def test_every_new_frame_is_made_once(
    prompt: int, new: int, segment: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(1, segment))
    given_frames = usable_prompt(prompt, new, segment, stride)
    assert 0 <= given_frames <= prompt
    output: list[int] = []
    for window in plan(given_frames, new, segment, stride):
        assert 1 <= window.frames <= segment
        assert 0 <= window.known < window.frames
        output += range(window.offset + window.known, window.offset + window.frames)
    assert output == list(range(given_frames, given_frames + new))
