"""Options of a folder of music: only what was given is reported."""

from __future__ import annotations

from typing import Any

import pytest

from toccata.errors import InputErrors
from toccata.finetuning.dataset.dataset_options import FolderOptions, check_options


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"segment_s": float("nan")}, ["segment_s"]),
        ({"segment_s": 99.0}, ["segment_s"]),
        ({"segment_s": 5.0, "hop_s": float("nan")}, ["hop_s"]),
        ({"segment_s": 5.0, "shortest_s": 6.0}, ["shortest_s"]),
        ({"segment_s": 0.0, "held_out_share": 2.0}, ["segment_s", "held_out_share"]),
    ],
)
def test_only_what_is_wrong_is_told(given: dict[str, Any], fields: list[str]) -> None:
    with pytest.raises(InputErrors) as caught:
        check_options(FolderOptions(**given), 10.0)
    assert [problem.field for problem in caught.value.problems] == fields
