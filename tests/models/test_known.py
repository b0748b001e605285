"""Names of models: short ones, hub ids, and those that are nearly right."""

from __future__ import annotations

import pytest

from toccata.errors import UnknownModelError
from toccata.models import KNOWN, resolve
from toccata.models.loading import load_model

PUBLISHED = [
    "small", "medium", "large", "melody", "melody-large", "stereo-small", "stereo-medium",
    "stereo-large", "stereo-melody", "stereo-melody-large", "style",
]  # fmt: skip


def test_all_published_models_are_known_and_the_one_that_ships() -> None:
    assert list(KNOWN) == ["mini", *PUBLISHED]
    assert KNOWN["mini"].hub_id is None
    for name in PUBLISHED:
        assert KNOWN[name].channels == (2 if "stereo" in name else 1)
        assert ("melody" in KNOWN[name].follows) == ("melody" in name)
        assert ("style" in KNOWN[name].follows) == (name == "style")


@pytest.mark.parametrize("name", PUBLISHED)
def test_short_name_and_hub_id_are_one(name: str) -> None:
    known = resolve(name)
    assert known is resolve(f"facebook/musicgen-{name}")
    assert known.hub_id == f"facebook/musicgen-{name}"


def test_someone_elses_model_is_taken_by_its_id() -> None:
    assert resolve("someone/musicgen-songs").hub_id == "someone/musicgen-songs"


@pytest.mark.parametrize(
    "name", ["stereo-meldy", "Stereo-melody!", "facebook/musicgen-stereo-mellody"]
)
def test_a_name_that_is_nearly_right(name: str) -> None:
    with pytest.raises(UnknownModelError, match=f"{name}.*did you mean stereo-melody"):
        resolve(name)


@pytest.mark.parametrize("name", ["", "zzz", "a/b/c", "../mini", "./folder"])
def test_a_name_like_no_other_lists_them_all(name: str) -> None:
    with pytest.raises(UnknownModelError) as unknown:
        resolve(name)
    for known in KNOWN:
        assert known in str(unknown.value)


@pytest.mark.parametrize(("precision", "warned"), [("int4", True), ("int8", False)])
def test_int4_says_once_that_it_is_experimental(
    precision: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    load_model("mini", device="cpu", precision=precision)
    said = [one.message for one in caplog.records if "experimental" in one.message]
    assert len(said) == warned
    assert all(message.startswith("precision int4") for message in said)
