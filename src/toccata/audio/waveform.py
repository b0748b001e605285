"""Waveforms: audio in memory. Imports neither numpy nor torch, for the command line."""

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
        """What `save` writes into the file beside the audio."""
        return {}

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[np.generic]:
        """The samples [C, N], which numpy asks for in `np.asarray(waveform)`."""
        import numpy as np

        return np.array(self.samples, dtype, copy=copy)

    def to_numpy(self) -> NDArray[np.float32]:
        """A copy of the samples [C, N] float32, which may be changed."""
        return self.samples.copy()

    def to_torch(self) -> Tensor:
        """A copy of the samples [C, N] as a float32 tensor on the CPU, as torchaudio takes it."""
        import torch

        return torch.from_numpy(self.samples.copy())

    def to_ipython(self, **options: Any) -> Audio:
        """A player for notebooks.

        Args:
            options: Those of `IPython.display.Audio`, for example autoplay=True.

        Raises:
            MissingExtraError: IPython is not installed; every notebook has it.
        """
        try:
            from IPython.display import Audio
        except ImportError as error:
            raise MissingExtraError("IPython is not installed: pip install ipython") from error
        return Audio(self._wav(), **options)

    def _repr_html_(self) -> str:
        """A player, which notebooks show for a waveform that is the last value of a cell."""
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
        """Write an audio file, with the tags there are.

        Args:
            target: A path, or a file object opened in binary mode, for example io.BytesIO().
            format: wav, mp3, flac or ogg. None: what the path's suffix names; wav in a file object.
            options: Those of `toccata.audio.files.write`: bit_depth of wav and flac,
                bitrate_kbps of mp3 and ogg.

        Returns:
            The path; None for a file object.

        Raises:
            AudioError: The suffix is not that of an audio format, or the file cannot be written.
            InputError: The format or an option is wrong, or the suffix names another format.
        """
        from toccata.audio.files import save

        return save(self, target, format, options)
