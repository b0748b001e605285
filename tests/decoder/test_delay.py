import torch
from hypothesis import given
from hypothesis import strategies as st

from toccata.decoder import delay

SPECIAL = 99


def test_the_picture_in_the_docstring() -> None:
    codes = torch.arange(12).reshape(1, 4, 3)
    steps = delay.apply(codes, (0, 1, 2, 3), SPECIAL)[0].tolist()
    assert steps == [
        [99, 0, 1, 2, 99, 99, 99],
        [99, 99, 3, 4, 5, 99, 99],
        [99, 99, 99, 6, 7, 8, 99],
        [99, 99, 99, 99, 9, 10, 11],
    ]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.integers(1, 12), st.integers(1, 3))
def test_undo_inverts_apply(delays: list[int], frames: int, batch: int) -> None:
    codes = torch.arange(batch * len(delays) * frames).reshape(batch, len(delays), frames)
    steps = delay.apply(codes, delays, SPECIAL)
    assert steps.shape[2] == delay.steps_of(frames, delays)
    assert torch.equal(delay.undo(steps, delays), codes)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=8), st.integers(1, 9))
def test_logits_are_aligned_with_the_codes_they_predict(delays: list[int], frames: int) -> None:
    codes = torch.randint(0, 7, (1, len(delays), frames))
    steps = delay.apply(codes, delays, 7)
    oracle = torch.nn.functional.one_hot(steps[:, :, 1:], 8).float()
    assert torch.equal(delay.undo_logits(oracle, delays).argmax(-1), codes)
