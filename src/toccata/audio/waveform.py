"""The class of audio in memory; without numpy and torch, so that the command line starts fast."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, overload

from toccata.errors import MissingExtraError

if TYPE_CHECKING:
    import os

    import numpy as np
    from IPython.display import Audio
    from numpy.typing import DTypeLike, NDArray
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Waveform:
    """Audio in memory.

    Attributes:
        samples: [C, N] float32, full scale at +-1.
        sample_rate_hz: Samples per second and channel.
    """

    samples: NDArray[np.float32]
    sample_rate_hz: int

    @property
    def channels(self) -> int:
        """The number of channels, C."""
        return int(self.samples.shape[0])

    @property
    def duration_s(self) -> float:
        """The length in seconds."""
        return float(self.samples.shape[1] / self.sample_rate_hz)

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags that `save` writes to the file."""
        return {}

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[np.generic]:
        """Return the samples [C, N] for `np.asarray(waveform)`."""
        import numpy as np

        return np.array(self.samples, dtype, copy=copy)

    def to_numpy(self) -> NDArray[np.float32]:
        """Return a copy of the samples [C, N] float32, which may be changed."""
        return self.samples.copy()

    def to_torch(self) -> Tensor:
        """Return a copy of the samples as a tensor [C, N] float32 on the CPU, as for torchaudio."""
        import torch

        return torch.from_numpy(self.samples.copy())

    def to_ipython(self, **options: Any) -> Audio:
        """Return a player for notebooks.

        Args:
            options: Options of `IPython.display.Audio`, for example autoplay=True.

        Raises:
            MissingExtraError: If IPython is not installed; every notebook has it.
        """
        try:
            from IPython.display import Audio
        except ImportError as error:
            raise MissingExtraError("IPython is not installed: pip install ipython") from error
        return Audio(self._wav(), **options)

    def _repr_html_(self) -> str:
        """Return the player that notebooks show for the last value of a cell."""
        uri = f"data:audio/wav;base64,{b64encode(self._wav()).decode()}"
        return f'<audio controls src="{uri}"></audio>'

    def _wav(self) -> bytes:
        file = BytesIO()
        self.save(file, "wav")
        return file.getvalue()

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
        """Write an audio file with tags.

        Args:
            target: A path, or a file object opened in binary mode, for example io.BytesIO().
            format: wav, mp3, flac or ogg; None for the path's suffix, or wav for a file object.
            options: bit_depth of wav and flac, bitrate_kbps of mp3 and ogg, as in
                `toccata.audio.files.write`.

        Returns:
            The path; None for a file object.

        Raises:
            AudioError: If the suffix is not that of a format, or the file cannot be written.
            InputError: If the format or an option is invalid, or the suffix names another format.
        """
        from toccata.audio.files import save

        return save(self, target, format, options)
