"""Audio in memory. Neither numpy nor torch is imported here: the command line imports this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, overload

if TYPE_CHECKING:
    import os

    import numpy as np
    from numpy.typing import DTypeLike, NDArray


@dataclass(frozen=True, eq=False)
class Waveform:
    """Audio in memory: `samples` [C, N] float32, full scale at +-1."""

    samples: NDArray[np.float32]
    sample_rate_hz: int

    @property
    def channels(self) -> int:
        return int(self.samples.shape[0])

    @property
    def duration_s(self) -> float:
        return float(self.samples.shape[1] / self.sample_rate_hz)

    @property
    def tags(self) -> Mapping[str, str]:
        """What `save` writes into the file beside the audio."""
        return {}

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[np.generic]:
        """The samples [channels, samples], which numpy asks for in `np.asarray(waveform)`."""
        import numpy as np

        return np.array(self.samples, dtype, copy=copy)

    @overload
    def save(
        self, target: str | os.PathLike[str], format: str | None = None, **options: int
    ) -> Path: ...

    @overload
    def save(self, target: BinaryIO, format: str | None = None, **options: int) -> None: ...

    def save(
        self,
        target: str | os.PathLike[str] | BinaryIO,
        format: str | None = None,
        **options: int,
    ) -> Path | None:
        """Write an audio file, with the tags there are.

        Args:
            target: A path, or a file object opened in binary mode, for example io.BytesIO().
            format: wav, mp3, flac or ogg. None: what the path's suffix names; wav in a file object.
            options: Those of `toccata.audio.files.write`: bit_depth, bitrate_kbps.

        Returns:
            The path; None for a file object.

        Raises:
            AudioError: The suffix is not that of an audio format, or the file cannot be written.
            InputError: The format or an option is wrong, or the suffix names another format.
        """
        from toccata.audio.files import save

        return save(self, target, format, options)
