"""What an editor shows of the library: every option spelled out, everywhere the same."""

from __future__ import annotations

import inspect

import pytest

import toccata
from toccata import Toccata
from toccata.generation.request import GenerationRequest, RequestOptions

OPTIONS = {name: field.default for name, field in GenerationRequest.model_fields.items()}


@pytest.mark.parametrize("method", [Toccata.generate, Toccata.stream])
def test_every_option_is_a_keyword_with_its_default(method: object) -> None:
    assert callable(method)
    shown = inspect.signature(method).parameters
    assert {name: shown[name].default for name in OPTIONS} == OPTIONS
    assert not any(one.kind is inspect.Parameter.VAR_KEYWORD for one in shown.values())


def test_the_asynchronous_variants_take_the_same_options() -> None:
    assert {"prompt", *RequestOptions.__annotations__} == set(OPTIONS)


def test_every_public_name_is_there_and_listed() -> None:
    assert all(getattr(toccata, name) is not None for name in toccata.__all__)
    assert {"Clip", "GenerationRequest", "Toccata", "Waveform", "load"} <= set(toccata.__all__)
    assert set(toccata.__all__) <= set(dir(toccata))
