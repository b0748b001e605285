"""PaSST (Koutini et al. 2022), AudioSet's 527 labels for windows of 10 s (extra `eval`)."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from toccata.analysis.spectrum import Samples, to_mono
from toccata.errors import CheckpointError, InputError, MissingExtraError
from toccata.evaluation.embedders import Source
from toccata.extras import missing_extra

RATE_HZ = 32_000
WINDOW = 10 * RATE_HZ
SHORTEST = round(0.15 * RATE_HZ)
WEIGHTS = "passt-s-f128-p16-s10-ap.476-swa.pt"


class Passt:
    """A `Labeller`, as AudioCraft uses it: windows side by side, the last one as short as it is.

    model: audio [B, N] at 32 kHz to logits [B, L].
    """

    def __init__(self, model: Any, device: torch.device) -> None:
        self._model = model.to(device).eval()
        self._device = device

    @torch.inference_mode()
    def label(self, samples: Samples, sample_rate_hz: int) -> Tensor:
        """Label windows of 10 s: [S, L], rows sum to 1. A rest of at most 0.15 s is dropped."""
        audio = to_mono(samples, sample_rate_hz, RATE_HZ)
        clips = [window for window in torch.split(audio, WINDOW) if len(window) > SHORTEST]
        with _quiet():
            rows = [self._model(window[None].to(self._device)) for window in clips]
        return torch.cat(rows).float().softmax(-1).cpu() if rows else torch.zeros(0, 1)


def load(source: Source) -> Passt:
    """Load PaSST with its published weights, which its package keeps in torch's cache.

    Raises:
        MissingExtraError: The package is not installed.
        CheckpointError: The weights cannot be loaded.
        InputError: `source` names a place, which the package cannot load from.
    """
    if source.place:
        raise InputError("weights", f"passt={source.place}", "leave out passt: it fetches its own")
    make = _package()
    _check_weights(source.offline)
    try:
        with _quiet():
            return Passt(make(mode="logits"), source.device)
    except (OSError, RuntimeError) as error:
        raise CheckpointError(
            f"{WEIGHTS}: PaSST's weights cannot be loaded ({error}); check the network, or delete "
            f"the file in {_cache()} and try again"
        ) from error


def _package() -> Any:
    try:
        with _quiet():
            from hear21passt.base import get_basic_model
    except ImportError as error:
        raise missing_extra(f"PaSST ({error})", "eval") from error
    except (OSError, RuntimeError) as error:
        raise MissingExtraError(
            f"PaSST is installed, but not what it needs ({error}): install torchvision and "
            "torchaudio from where torch came from, for the same torch"
        ) from error
    return get_basic_model


def _check_weights(offline: bool) -> None:
    if offline and not (_cache() / WEIGHTS).exists():
        raise CheckpointError(
            f"{WEIGHTS}: PaSST's weights are not in {_cache()} and this is offline; measure once "
            "while online"
        )


def _cache() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the package: it prints shapes to stdout, and warns."""
    with redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
