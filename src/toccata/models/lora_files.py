"""Read and write LoRA files, which are safetensors with A and B of each matrix.

A LoRA is added to a model's matrices while they are read, before they are cast or quantised, so
that generation is not slower.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from toccata.decoder.decoder import Decoder, LMConfig
from toccata.decoder.lora import Factors, LoraConfig, added, shapes
from toccata.errors import CheckpointError
from toccata.models.checkpoints.config_fields import Fields
from toccata.models.checkpoints.tensors import bare
from toccata.models.lora_names import existing, parse
from toccata.whole_files import replaced

FORMAT, VERSION = "toccata-lora", "1"
INFO = "lora"
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
MAX_BYTES = 4 * 2**30
CURE = "it is damaged or no LoRA of toccata: give one that `toccata train lora` has written"


@dataclass(frozen=True)
class LoraInfo:
    """The metadata of a LoRA file.

    Attributes:
        base: The name of the model that it was trained on.
        base_digest: A digest of that model's sizes, which the model that loads it must have.
        base_shape: These sizes as text.
        rank: The rank r.
        alpha: The update is scaled by alpha / r.
        targets: The matrices that are updated, see `LoraConfig`.
        caption: Words of a prompt that evoke the style.
        steps: The number of training steps.
        toccata: The version of toccata that wrote it.
    """

    base: str
    base_digest: str
    base_shape: str
    rank: int
    alpha: float
    targets: tuple[str, ...]
    caption: str
    steps: int
    toccata: str

    @property
    def config(self) -> LoraConfig:
        """The hyperparameters."""
        return LoraConfig(self.rank, self.alpha, self.targets)


@dataclass(frozen=True, eq=False)
class Lora:
    """A LoRA that was read, with the scale at which it is applied."""

    path: Path
    info: LoraInfo
    factors: Mapping[str, Factors]
    scale: float


def shape_digest(config: LMConfig) -> str:
    """Compute a digest of all sizes that a LoRA's matrices depend on."""
    sizes = {name: value for name, value in asdict(config).items() if name != "cond_dims"}
    return hashlib.sha256(json.dumps(sizes, sort_keys=True).encode()).hexdigest()[:16]


def shape_text(config: LMConfig) -> str:
    """Describe a model's shape for messages."""
    kind = "cross-attention" if config.cross_attention else "prefix"
    return (
        f"{config.layers} layers of {config.dim}, {config.codebooks} codebooks of "
        f"{config.card}, {kind}"
    )


def write(path: Path, info: LoraInfo, factors: Mapping[str, Factors]) -> None:
    """Write a LoRA file, completely or not at all.

    Raises:
        CheckpointError: If the file cannot be written.
    """
    from safetensors.torch import save

    tensors = {f"{name}.{part}": tensor for name, pair in factors.items()
               for part, tensor in zip("ab", pair, strict=True)}  # fmt: skip
    metadata = {"format": FORMAT, "version": VERSION, INFO: json.dumps(asdict(info))}
    # `save_file` would make the file readable only by its owner.
    with replaced(path) as aside:
        aside.write_bytes(save(tensors, metadata))


def read_info(path: Path) -> LoraInfo:
    """Read the metadata of a LoRA file.

    Raises:
        CheckpointError: If the file is missing or damaged.
    """
    return _read_info(path, _opened(path))


def read(name: str | Path, config: LMConfig) -> Lora:
    """Read a LoRA for a decoder.

    Args:
        name: FILE or FILE:scale.
        config: The shape of the decoder.

    Raises:
        InputError: If the scale is out of range.
        CheckpointError: If the file is missing, damaged, too large, of another shape, or not
            finite; the message names the file.
    """
    path, scale = parse(name)
    file = _opened(path)
    info = _read_info(path, file)
    if info.base_digest != shape_digest(config):
        raise CheckpointError(
            f"{path}: was trained on {info.base} ({info.base_shape}), but this model has "
            f"{shape_text(config)}; load it with {info.base}"
        )
    expected_shapes = shapes(bare(lambda: Decoder(config)), info.config)
    expected = {f"{name}.{part}" for name in expected_shapes for part in "ab"}
    _check_names(path, set(file.keys()), expected)
    factors = {
        name: (_tensor(path, file, f"{name}.a", a), _tensor(path, file, f"{name}.b", b))
        for name, (a, b) in expected_shapes.items()
    }
    return Lora(path, info, factors, scale)


def merged(loras: Sequence[Lora], name: str, weight: Tensor) -> Tensor:
    """Add the updates of all LoRAs to a decoder's tensor, by the tensor's name."""
    path, _, last = name.rpartition(".")
    for lora in loras:
        if last == "weight" and path in lora.factors and lora.scale != 0:
            weight = added(weight, lora.factors[path], lora.scale * lora.info.config.scale)
    return weight


def _opened(path: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    if existing(path).stat().st_size > MAX_BYTES:
        most = f"{MAX_BYTES / 2**30:.0f} GiB"
        raise CheckpointError(f"{path}: is larger than {most}, which no LoRA is; {CURE}")
    try:
        return safe_open(path, "pt")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); {CURE}") from error


def _read_info(path: Path, file: Any) -> LoraInfo:
    metadata = file.metadata() or {}
    for key, expected in (("format", FORMAT), ("version", VERSION)):
        if (found := metadata.get(key)) != expected:
            raise CheckpointError(f"{path}: {key} is {found!r}, not {expected!r}; {CURE}")
    try:
        values = json.loads(metadata[INFO])
    except (KeyError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: does not say what it is for ({error}); {CURE}") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: does not say what it is for; {CURE}")
    fields = Fields(path, values)
    info = fields.record(LoraInfo)
    fields.make(LoraConfig, rank=info.rank, alpha=info.alpha, targets=info.targets)
    return info


def _check_names(path: Path, found: set[str], expected: set[str]) -> None:
    for name in sorted(expected ^ found):
        problem = "is missing" if name in expected else "is unexpected"
        raise CheckpointError(f"{path}: tensor {name} {problem}; {CURE}")


def _tensor(path: Path, file: Any, name: str, shape: torch.Size) -> Tensor:
    tensor: Tensor = file.get_tensor(name)
    if tensor.shape != shape or tensor.dtype not in DTYPES:
        raise CheckpointError(
            f"{path}: tensor {name} is {list(tensor.shape)} {tensor.dtype}, but it must be "
            f"{list(shape)} floats; {CURE}"
        )
    if not tensor.isfinite().all():
        raise CheckpointError(f"{path}: tensor {name} holds numbers that are not finite; {CURE}")
    return tensor.float().clone()
