"""Read tensors lazily, and rename them from a checkpoint's names to ours.

A layout describes with `Rule`s how its names map to ours; `gather` applies them, and `build` fills
a module with the result, one tensor at a time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from toccata.codecs.seanet import fuse_weight_norm
from toccata.errors import CheckpointError

CURE = (
    "the file is damaged or of another model: run `toccata models remove NAME`, then "
    "`toccata models pull NAME`"
)
# How much of a file is read before its mapping is renewed: a fraction of it, with a limit that is
# small beside a large model.
RENEW_FRACTION, MAX_MAPPED_BYTES = 8, 64 << 20

M = TypeVar("M", bound=nn.Module)
Replace = Callable[[nn.Module, str, Tensor], bool]
"""Replaces the submodule of a tensor's name by another one; returns whether it has."""
Change = Callable[[str, Tensor], Tensor]
"""Changes a tensor of a name after it is read and before it is cast."""


class OpenFile(Protocol):
    """A file mapped into memory."""

    def keys(self) -> Iterable[str]: ...
    def get_tensor(self, name: str) -> Tensor: ...


@dataclass(frozen=True)
class LazyTensor:
    """A tensor that is read when it is needed; `name` is its name in the file."""

    file: Path
    name: str
    read: Callable[[], Tensor]


class MappedFile:
    """Reads tensors from a memory-mapped file.

    Pages that were read through a mapping stay resident until the mapping is closed. It is renewed
    from time to time, so that loading needs the memory of the model, not of model and file.
    """

    def __init__(self, path: Path, open_file: Callable[[Path], OpenFile]) -> None:
        self.path = path
        self._open = open_file
        self._file = open_file(path)
        self._budget = min(max(path.stat().st_size // RENEW_FRACTION, 1), MAX_MAPPED_BYTES)
        self._read_bytes = 0

    def tensors(self) -> dict[str, LazyTensor]:
        """Return all tensors by their names in the file."""
        return {
            name: LazyTensor(self.path, name, lambda name=name: self._get(name))  # type: ignore[misc]
            for name in self._file.keys()  # noqa: SIM118 - not every OpenFile is a mapping
        }

    def _get(self, name: str) -> Tensor:
        if self._read_bytes > self._budget:
            self._file = self._open(self.path)
            self._read_bytes = 0
        try:
            tensor = self._file.get_tensor(name)
        except (OSError, RuntimeError, ValueError) as error:
            raise CheckpointError(
                f"{self.path}: {name} cannot be read ({error}); {CURE}"
            ) from error
        self._read_bytes += tensor.nbytes
        return tensor


def open_safetensors(path: Path) -> dict[str, LazyTensor]:
    """Open the tensors of a safetensors file.

    Raises:
        CheckpointError: If the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        return MappedFile(path, lambda path: safe_open(path, "pt")).tensors()
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{path}: missing or damaged ({error}); {CURE}") from error


Join = Callable[[Sequence[Tensor]], Tensor]


def first(parts: Sequence[Tensor]) -> Tensor:
    """Return the only tensor of a rule that joins nothing."""
    return parts[0]


@dataclass(frozen=True)
class Rule:
    """Maps our names that match a pattern to tensors of the file.

    Attributes:
        ours: A regular expression for our names.
        theirs: Templates of the names in the file, with \\1, \\2 ... for the pattern's groups.
        join: Joins the tensors of `theirs` to one.
    """

    ours: str
    theirs: tuple[str, ...]
    join: Join = first


@dataclass(frozen=True)
class Part:
    """The tensors of a checkpoint for one module.

    Attributes:
        file: The file, for errors.
        found: The tensors by their names in the file.
        rules: How these names map to ours.
        extra: A regular expression for tensors that are not needed.
    """

    file: Path
    found: Mapping[str, LazyTensor]
    rules: Sequence[Rule]
    extra: str = r"(?!)"


def gather(part: Part, expected: Iterable[str]) -> dict[str, LazyTensor]:
    """Collect the expected tensors by our names.

    Raises:
        CheckpointError: If a tensor is missing or unexpected.
    """
    used: set[str] = set()
    gathered = {}
    for name in expected:
        theirs, join = _sources(part, name)
        used.update(theirs)
        gathered[name] = joined([_present(part, source) for source in theirs], join)
    for name, tensor in part.found.items():
        if name not in used and not re.fullmatch(part.extra, name):
            raise CheckpointError(f"{tensor.file}: unexpected tensor {name}; {CURE}")
    return gathered


def _sources(part: Part, name: str) -> tuple[list[str], Join]:
    for rule in part.rules:
        match = re.fullmatch(rule.ours, name)
        if match:
            return [match.expand(template) for template in rule.theirs], rule.join
    raise CheckpointError(f"{part.file}: this layout has nothing for {name}; {CURE}")


def _present(part: Part, name: str) -> LazyTensor:
    try:
        return part.found[name]
    except KeyError:
        raise CheckpointError(f"{part.file}: tensor {name} is missing; {CURE}") from None


def joined(sources: Sequence[LazyTensor], join: Join) -> LazyTensor:
    """Join several lazy tensors to one, when it is read."""
    if join is first:
        return sources[0]
    name = " + ".join(source.name for source in sources)
    return LazyTensor(sources[0].file, name, lambda: _join(sources, name, join))


def _join(sources: Sequence[LazyTensor], name: str, join: Join) -> Tensor:
    try:
        return join([source.read() for source in sources])
    except (RuntimeError, IndexError) as error:
        raise CheckpointError(
            f"{sources[0].file}: {name} do not fit together ({error}); {CURE}"
        ) from error


WEIGHT_NORM_SPELLINGS = (
    (".weight_g", ".weight_v"),
    (".parametrizations.weight.original0", ".parametrizations.weight.original1"),
)


def fuse_weight_norms(found: Mapping[str, LazyTensor]) -> dict[str, LazyTensor]:
    """Replace each pair of a weight norm's gain and direction by the plain weight."""
    fused = dict(found)
    for gain_suffix, direction_suffix in WEIGHT_NORM_SPELLINGS:
        for name in [name for name in fused if name.endswith(gain_suffix)]:
            stem = name.removesuffix(gain_suffix)
            gain, direction = fused.pop(name), fused.pop(stem + direction_suffix, None)
            if direction is None:
                raise CheckpointError(
                    f"{gain.file}: tensor {stem + direction_suffix} is missing; {CURE}"
                )
            pair = joined([gain, direction], lambda parts: fuse_weight_norm(*parts))
            fused[stem + ".weight"] = pair
    return fused


def without_prefix(found: Mapping[str, LazyTensor], prefix: str) -> dict[str, LazyTensor]:
    """Return the tensors whose names start with `prefix`, and remove it from their names."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in found.items()
        if name.startswith(prefix)
    }


def renamed(found: Mapping[str, LazyTensor], rename: Callable[[str], str]) -> dict[str, LazyTensor]:
    """Rename tensors."""
    return {rename(name): tensor for name, tensor in found.items()}


def stacked(file: Path, found: Mapping[str, LazyTensor], names: Sequence[str]) -> LazyTensor:
    """Stack the tensors `names` to one.

    Raises:
        CheckpointError: If a tensor is missing.
    """
    part = Part(file, found, ())
    return joined([_present(part, name) for name in names], lambda parts: torch.stack(list(parts)))


class _NoDraws(TorchFunctionMode):
    """Skips the random initialisation of modules on the meta device.

    There it imports torch's compiler, which takes seconds, and only shapes are needed.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func.__name__ == "normal_":
            return args[0] if args else kwargs["tensor"]
        if func.__name__ == "mul" and isinstance(args[1], float):
            return args[0]
        if func.__name__ == "randn":
            func = torch.empty
        return func(*args, **(kwargs or {}))


def bare(make: Callable[[], M]) -> M:
    """Create a module on the meta device, with shapes but without weights."""
    with torch.device("meta"), _NoDraws():
        return make()


def _bare_of(make: Callable[[], M], file: Path) -> M:
    """Do as `bare`, but raise CheckpointError for sizes with which torch creates no module."""
    try:
        return bare(make)
    except (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError,
            ValueError) as error:  # fmt: skip
        raise CheckpointError(
            f"{file}: its configuration describes no model ({error}); {CURE}"
        ) from error


def build(
    make: Callable[[], M],
    part: Part,
    device: torch.device,
    dtype: torch.dtype,
    *,
    change: Change | None = None,
    replace: Replace | None = None,
) -> M:
    """Create a module and fill it with the tensors of a checkpoint, one by one.

    No other weights are allocated.

    Args:
        make: Creates the module.
        part: The tensors.
        device: The device of the weights.
        dtype: The dtype of the weights.
        change: Applied to each tensor before it is cast.
        replace: Called with each tensor after it is cast; it may replace the tensor's submodule.

    Raises:
        CheckpointError: If a tensor is missing, damaged or of another shape; the message names the
            file and the tensor.
    """
    module = _bare_of(make, part.file)
    expected = module.state_dict()
    filled = _filled(expected, gather(part, expected), device, dtype, change or _as_it_is)
    state = {
        name: tensor
        for name, tensor in filled
        if replace is None or not replace(module, name, tensor)
    }
    # Replaced submodules have other names now; `gather` has checked that no tensor is missing.
    module.load_state_dict(state, strict=replace is None, assign=True)
    # Loading by assignment keeps requires_grad of the bare module.
    return module.eval().requires_grad_(False)


def _filled(
    expected: Mapping[str, Tensor],
    gathered: Mapping[str, LazyTensor],
    device: torch.device,
    dtype: torch.dtype,
    change: Change,
) -> Iterator[tuple[str, Tensor]]:
    # Only shared tensors are kept, so that a tensor is freed once `replace` has quantised it.
    shared = {lazy for lazy, uses in Counter(gathered.values()).items() if uses > 1}
    kept: dict[LazyTensor, nn.Parameter] = {}
    for name, like in expected.items():
        lazy = gathered[name]
        if lazy in kept:
            yield name, kept[lazy]
        elif lazy in shared:
            kept[lazy] = _parameter(change(name, _checked(lazy, like)), device, dtype)
            yield name, kept[lazy]
        else:
            yield name, _parameter(change(name, _checked(lazy, like)), device, dtype)


def _parameter(tensor: Tensor, device: torch.device, dtype: torch.dtype) -> nn.Parameter:
    """Copy a tensor, so that a running model does not depend on the mapped file."""
    copied = tensor.to(device, dtype, copy=True).contiguous()
    return nn.Parameter(copied, requires_grad=False)


def _as_it_is(_: str, tensor: Tensor) -> Tensor:
    return tensor


def _checked(lazy: LazyTensor, expected: Tensor) -> Tensor:
    tensor = lazy.read()
    if tensor.shape != expected.shape or not tensor.is_floating_point():
        raise CheckpointError(
            f"{lazy.file}: tensor {lazy.name} is {list(tensor.shape)} {tensor.dtype}, "
            f"but the configuration asks for {list(expected.shape)} floats; {CURE}"
        )
    if not _is_finite(tensor):
        raise CheckpointError(
            f"{lazy.file}: tensor {lazy.name} holds numbers that are not finite; {CURE}"
        )
    return tensor


def _is_finite(tensor: Tensor) -> bool:
    if tensor.numel() == 0:
        return True
    whole = tensor if tensor.element_size() > 1 else tensor.float()
    return all(bool(end.isfinite()) for end in whole.aminmax())  # without a mask of its size
