"""VGGish (Hershey et al. 2017), what FAD is published with: log-mel windows of 0.96 s to [128].

Embeddings are taken before the last activation and without PCA, as FAD's reference code does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from toccata.analysis.spectrum import Samples, to_mono
from toccata.errors import CheckpointError
from toccata.evaluation.embedders import Source
from toccata.evaluation.log_mel import BANDS, RATE_HZ, WINDOW_FRAMES, examples, slices
from toccata.models.checkpoints.bin_files import UNREADABLE, damage_of

# The published conversion of AudioSet's checkpoint; the name has the start of the file's SHA-256.
URL = "https://github.com/harritaylor/torchvggish/releases/download/v0.1/vggish-10086976.pth"
SHA256 = "10086976"
POOL = 0

BATCH = 64


@dataclass(frozen=True)
class Shape:
    """Channels of the convolutions (POOL: halve both axes), and widths of what follows them."""

    channels: tuple[int, ...] = (64, POOL, 128, POOL, 256, 256, POOL, 512, 512, POOL)
    hidden: int = 4096
    width: int = 128


class Network(nn.Module):
    """Log-mel windows [B, 96, 64] to [B, width]. Parameters have the published names."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.features = nn.Sequential(*_convolutions(shape.channels))
        halved = 2 ** shape.channels.count(POOL)
        last = next(size for size in reversed(shape.channels) if size != POOL)
        flat = last * (WINDOW_FRAMES // halved) * (BANDS // halved)
        self.embeddings = nn.Sequential(
            nn.Linear(flat, shape.hidden),
            nn.ReLU(),
            nn.Linear(shape.hidden, shape.hidden),
            nn.ReLU(),
            nn.Linear(shape.hidden, shape.width),
        )

    def forward(self, windows: Tensor) -> Tensor:
        maps = self.features(windows[:, None])
        # The weights are TensorFlow's, whose channels are innermost.
        embedded: Tensor = self.embeddings(maps.permute(0, 2, 3, 1).flatten(1))
        return embedded


def _convolutions(channels: tuple[int, ...]) -> Iterator[nn.Module]:
    before = 1
    for size in channels:
        if size == POOL:
            yield nn.MaxPool2d(2)
            continue
        yield nn.Conv2d(before, size, 3, padding=1)
        yield nn.ReLU()
        before = size


class Vggish:
    """An `Embedder`: a window every half second. Clips under a second are filled up."""

    def __init__(self, network: Network, device: torch.device) -> None:
        self._network = network.to(device).eval()
        self._device = device

    @torch.inference_mode()
    def embed(self, samples: Samples, sample_rate_hz: int) -> Tensor:
        clips = slices(to_mono(samples, sample_rate_hz, RATE_HZ))
        return torch.cat([self._embed(batch) for batch in torch.split(clips, BATCH)])

    def _embed(self, clips: Tensor) -> Tensor:
        embedded: Tensor = self._network(examples(clips).to(self._device))
        return embedded.cpu()


def load(source: Source, shape: Shape = Shape()) -> Vggish:
    """VGGish with the weights of source.place, a .pth or .safetensors file, or the published ones.

    Raises CheckpointError if they are not to be had or are not VGGish's.
    """
    file = Path(source.place) if source.place else _published(source.offline)
    with torch.device("meta"):
        network = Network(shape)
    try:
        network.load_state_dict(_read(file), assign=True)
    except UNREADABLE as error:
        raise CheckpointError(
            f"{file}: cannot be read as VGGish's weights: {damage_of(error)}; delete it and "
            "measure again while online, or give --weights vggish=FILE"
        ) from error
    return Vggish(network, source.device)


def _read(file: Path) -> dict[str, Tensor]:
    if file.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(file)
        except SafetensorError as error:
            raise ValueError(error) from error
    state: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    return state


def _published(offline: bool) -> Path:
    """The published weights, downloaded into torch's own cache unless they are there."""
    file = Path(torch.hub.get_dir()) / "checkpoints" / URL.rpartition("/")[2]
    if file.exists():
        return file
    if offline:
        raise CheckpointError(
            f"{file}: VGGish's weights are not there and this is offline; measure once while "
            "online, or give --weights vggish=FILE"
        )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(URL, str(file), SHA256, progress=False)
    except (OSError, RuntimeError) as error:
        raise CheckpointError(
            f"{URL}: cannot be fetched ({_reason(error)}); check the network, or give "
            "--weights vggish=FILE"
        ) from error
    return file


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
