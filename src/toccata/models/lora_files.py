"""Read and write LoRA files: safetensors with A and B of each matrix.

They are added to a model's matrices while it is read, before those are cast or compressed, so that
they cost nothing afterwards.
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
    """What a file says of itself.

    base: the name of the model it was trained on. base_digest: of that model's sizes, which any
    other has to share; base_shape: those sizes for people. caption: words that call for the style.
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
        return LoraConfig(self.rank, self.alpha, self.targets)


@dataclass(frozen=True, eq=False)
class Lora:
    """A LoRA that was read, and how loud it is wanted."""

    path: Path
    info: LoraInfo
    factors: Mapping[str, Factors]
    scale: float


def shape_digest(config: LMConfig) -> str:
    """Of all sizes that a LoRA's matrices depend on, and of the kind of model."""
    sizes = {name: value for name, value in asdict(config).items() if name != "cond_dims"}
    return hashlib.sha256(json.dumps(sizes, sort_keys=True).encode()).hexdigest()[:16]


def shape_text(config: LMConfig) -> str:
    kind = "cross-attention" if config.cross_attention else "prefix"
    return (
        f"{config.layers} layers of {config.dim}, {config.codebooks} codebooks of "
        f"{config.card}, {kind}"
    )


def write(path: Path, info: LoraInfo, factors: Mapping[str, Factors]) -> None:
    """Write a LoRA whole or not at all. Raises CheckpointError for a path that takes no file."""
    from safetensors.torch import save

    tensors = {f"{name}.{part}": tensor for name, pair in factors.items()
               for part, tensor in zip("ab", pair, strict=True)}  # fmt: skip
    metadata = {"format": FORMAT, "version": VERSION, INFO: json.dumps(asdict(info))}
    # Not by `save_file`, which lets nobody but its owner read the file.
    with replaced(path) as aside:
        aside.write_bytes(save(tensors, metadata))


def read_info(path: Path) -> LoraInfo:
    """What the file says of itself. Raises CheckpointError."""
    return _read_info(path, _opened(path))


def read(name: str | Path, config: LMConfig) -> Lora:
    """The LoRA that `FILE[:scale]` names, for a decoder of that shape.

    Raises InputError for a scale out of range, and CheckpointError naming the file for one that is
    missing, damaged, too large, of another shape, or not finite.
    """
    path, scale = parse(name)
    file = _opened(path)
    info = _read_info(path, file)
    if info.base_digest != shape_digest(config):
        raise CheckpointError(
            f"{path}: was trained on {info.base} ({info.base_shape}), but this model has "
            f"{shape_text(config)}; load it with {info.base}"
        )
    wanted = shapes(bare(lambda: Decoder(config)), info.config)
    expected = {f"{name}.{part}" for name in wanted for part in "ab"}
    _check_names(path, set(file.keys()), expected)
    factors = {
        name: (_tensor(path, file, f"{name}.a", a), _tensor(path, file, f"{name}.b", b))
        for name, (a, b) in wanted.items()
    }
    return Lora(path, info, factors, scale)


def merged(loras: Sequence[Lora], name: str, weight: Tensor) -> Tensor:
    """A decoder's tensor of that name with all updates of it; as it is where there are none."""
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
    for key, wanted in (("format", FORMAT), ("version", VERSION)):
        if metadata.get(key) != wanted:
            raise CheckpointError(f"{path}: {key} is {metadata.get(key)!r}, not {wanted!r}; {CURE}")
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
