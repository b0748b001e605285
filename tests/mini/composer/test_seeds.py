from collections import Counter

import pytest

from recipes.mini.composer.compose import compose
from recipes.mini.composer.seeds import varied_seeds
from toccata.errors import InputError


def _leads(seeds: list[int]) -> Counter[str]:
    return Counter("".join(compose(seed, 8.0).facts.instruments[:1]) for seed in seeds)


def test_no_lead_leads_more_songs_than_it_may() -> None:
    seeds = varied_seeds(100, 40, 2, 8.0)
    assert len(set(seeds)) == 40
    assert max(_leads(seeds).values()) == 2
    assert max(_leads(list(range(100, 140))).values()) > 2


def test_they_are_the_same_every_time() -> None:
    assert varied_seeds(7, 10, 1, 8.0) == varied_seeds(7, 10, 1, 8.0)


def test_too_few_of_each_lead_is_an_error() -> None:
    with pytest.raises(InputError, match="per_lead"):
        varied_seeds(0, 60, 1, 8.0)
