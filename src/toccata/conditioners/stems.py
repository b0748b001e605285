"""Optional stem separation, which removes drums and bass from a melody (extra `stems`)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from toccata.audio.waveform import Waveform
from toccata.errors import CheckpointError, MissingExtraError
from toccata.extras import missing_extra

MODEL = "htdemucs"
WEIGHTS = "955717e8*.th"
MELODIC = ("vocals", "other")

log = logging.getLogger(__name__)


class Separator(Protocol):
    """A model that separates a mix into stems."""

    sources: Sequence[str]
    sample_rate_hz: int
    channels: int

    def separate(self, mix: Tensor) -> Tensor:
        """Separate a mix [C, N] -> stems [sources, C, N]."""
        ...


class MelodyStems:
    """Keeps the stems "vocals" and "other" of a melody.

    Without demucs the full mix is used, and a warning is logged once.

    Args:
        separator: The model; None loads demucs when it is first needed.
        offline: Whether weights must not be downloaded.
    """

    def __init__(self, separator: Separator | None = None, *, offline: bool = False) -> None:
        self._separator = separator
        self._offline = offline
        self._missing = False

    def __call__(self, waveform: Waveform) -> Waveform:
        """Separate a waveform.

        Args:
            waveform: Audio of any rate and channels. All of it is separated, so it should be cut
                to what is needed.

        Returns:
            The melodic stems [1, N] at the separator's rate; the waveform itself without demucs.

        Raises:
            CheckpointError: If demucs is installed, but its weights cannot be loaded.
        """
        separator = self._find()
        return waveform if separator is None else melodic(waveform, separator)

    def _find(self) -> Separator | None:
        if self._separator is None and not self._missing:
            try:
                self._separator = Demucs(offline=self._offline)
            except MissingExtraError as error:
                self._missing = True
                log.warning("the melody keeps its drums and bass: %s", error)
        return self._separator


def melodic(waveform: Waveform, separator: Separator) -> Waveform:
    """Sum the melodic stems of a waveform, mixed to mono [1, N] at the separator's rate."""
    from toccata.audio.transforms import resample, to_channels

    mix = resample(to_channels(waveform, separator.channels), separator.sample_rate_hz)
    stems = separator.separate(torch.from_numpy(mix.samples))
    kept = [stem for name, stem in zip(separator.sources, stems, strict=True) if name in MELODIC]
    samples = torch.stack(kept).sum(dim=0).mean(dim=0, keepdim=True)
    return Waveform(samples.cpu().numpy(), separator.sample_rate_hz)


class Demucs:
    """The separator htdemucs, without its random shift, which uses Python's global generator.

    Raises:
        MissingExtraError: If demucs is not installed.
        CheckpointError: If its weights cannot be loaded.
    """

    def __init__(self, *, offline: bool = False) -> None:
        try:
            from demucs.apply import apply_model
            from demucs.pretrained import get_model
        except ImportError as error:
            raise missing_extra("stem separation", "stems") from error
        _check_weights(offline)
        self._apply = apply_model
        self._model = _load(get_model)
        self.sources: Sequence[str] = tuple(self._model.sources)
        self.sample_rate_hz = int(self._model.samplerate)
        self.channels = int(self._model.audio_channels)

    def separate(self, mix: Tensor) -> Tensor:
        with torch.inference_mode():
            stems: Tensor = self._apply(self._model, mix[None], shifts=0, progress=False)[0]
        return stems


def _check_weights(offline: bool) -> None:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    if offline and not any(folder.glob(WEIGHTS)):
        raise CheckpointError(
            f"{MODEL}: its weights ({WEIGHTS}) are not in {folder} and this is offline; "
            "use a melody once while online, or pip uninstall demucs to use the full mix"
        )


def _load(get_model: Callable[[str], Any]) -> Any:
    try:
        return get_model(MODEL)
    except (OSError, RuntimeError) as error:
        raise CheckpointError(
            f"{MODEL}: its weights cannot be loaded ({error}); check the network, "
            f"or delete {WEIGHTS} in {torch.hub.get_dir()}/checkpoints and try again"
        ) from error
