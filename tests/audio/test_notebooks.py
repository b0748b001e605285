"""Waveforms and clips as notebooks, numpy and torch take them."""

from __future__ import annotations

import base64
import io
import re
import sys

import numpy as np
import pytest
import soundfile
import torch

from tests.audio.sounds import RATE_HZ, sine
from toccata.errors import MissingExtraError
from toccata.generation.clip import Clip


def clip() -> Clip:
    return Clip(sine(0.2).samples, RATE_HZ, seed=5, model="mini", prompt="<b>piano</b>")


def test_a_notebook_shows_a_player_that_plays_the_samples() -> None:
    html = clip()._repr_html_()
    found = re.search(r'<audio controls src="data:audio/wav;base64,([^"]+)">', html)
    assert found is not None
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(found[1])), always_2d=True)
    assert rate == RATE_HZ
    np.testing.assert_allclose(samples.T, clip().samples, atol=1e-4)


def test_a_notebook_shows_the_prompt_as_text() -> None:
    html = clip()._repr_html_()
    assert "&lt;b&gt;piano&lt;/b&gt; (mini, seed 5)" in html
    assert "<b>" not in html


def test_a_clip_shows_what_it_is() -> None:
    assert repr(clip()) == f"Clip('<b>piano</b>', 0.20 s, 2 x {RATE_HZ} Hz, model='mini', seed=5)"


def test_samples_are_copied_to_numpy_and_torch() -> None:
    waveform = sine(0.1)
    array, tensor = waveform.to_numpy(), waveform.to_torch()
    assert tensor.dtype == torch.float32
    assert np.array_equal(tensor.numpy(), waveform.samples)
    array[:] = 0
    tensor.zero_()
    assert np.abs(waveform.samples).max() > 0


def test_a_player_of_ipython_has_the_samples() -> None:
    player = clip().to_ipython(autoplay=True)
    assert "audio/wav" in player._repr_html_()
    assert "autoplay" in player._repr_html_()


def test_a_missing_ipython_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    with pytest.raises(MissingExtraError, match="pip install ipython"):
        clip().to_ipython()
