"""Read PyTorch .bin files without executing anything in them.

Old releases pickle their configuration as an OmegaConf object. Its classes are replaced by an inert
`Node`, which is converted to plain dicts and lists, without omegaconf. Any other global that a file
refers to is refused before it is looked up.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from toccata.errors import CheckpointError

CURE = (
    "run `toccata models remove NAME`, then `toccata models pull NAME`, or use a safetensors "
    "version of the model"
)


# A published configuration has some hundred values, but a small file can expand to billions.
MAX_NODES, MAX_REFERENCES = 100_000, 64
# The exceptions of torch.load for a file that it cannot read.
UNREADABLE = (
    pickle.UnpicklingError, OSError, RuntimeError, ValueError, EOFError, LookupError, TypeError,
    AttributeError, AssertionError,
)  # fmt: skip


class Node:
    """Replaces any OmegaConf object: it stores its state and does nothing."""

    def __setstate__(self, state: Any) -> None:
        self.state = state if isinstance(state, dict) else {}


class Marker:
    """Replaces the types that OmegaConf objects refer to."""


def plain_dict(*_: object) -> dict[Any, Any]:
    """Replace a defaultdict by a dict."""
    return {}


NODES = (
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.base.UnionNode",
    *(
        f"omegaconf.nodes.{kind}Node"
        for kind in ("Any", "String", "Integer", "Float", "Boolean", "Enum", "Bytes", "Path")
    ),
    "omegaconf.nodes.InterpolationResultNode",
)
MARKERS = (
    "typing.Any",
    *(f"{kind.__module__}.{kind.__name__}" for kind in (dict, list, tuple, str, int, float, bool)),
)
STAND_INS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    *((Node, name) for name in NODES),
    *((Marker, name) for name in MARKERS),
    (plain_dict, "collections.defaultdict"),
]


def read_bin(file: Path) -> dict[str, Any]:
    """Read the dict in a .bin file; its tensors are memory-mapped.

    Raises:
        CheckpointError: If the file is missing, truncated, or refers to code.
    """
    try:
        with torch.serialization.safe_globals(STAND_INS):
            content = torch.load(
                file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file)
            )
    except UNREADABLE as error:
        raise CheckpointError(f"{file}: {damage_of(error)}; {CURE}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{file}: must hold a dict, not {type(content).__name__}; {CURE}")
    return content


class TensorsOf:
    """The tensors in a dict of `read_bin`, with the interface of a safetensors file."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        self._state = state

    def keys(self) -> list[str]:
        return [name for name, value in self._state.items() if isinstance(value, Tensor)]

    def get_tensor(self, name: str) -> Tensor:
        tensor: Tensor = self._state[name]
        return tensor


def damage_of(error: Exception) -> str:
    """Describe an error of torch.load, without its advice to load the file unsafely."""
    text = str(error).strip() or type(error).__name__
    if not isinstance(error, pickle.UnpicklingError):
        return f"missing or damaged ({text.splitlines()[0]})"
    reference = re.search(r"GLOBAL ([\w.]+)", text)
    if reference:
        return f"it asks for {reference[1]}, which a model file has no need of; nothing was run"
    reason = re.search(r"Unpickler error:\s*(.+)", text)
    shown = f" ({reason[1]})" if reason else ""
    return f"it is damaged or hostile{shown}; nothing was run"


def plain_config(config: object, file: Path) -> dict[str, Any]:
    """Convert a stored configuration to plain dicts, and resolve interpolations (${sample_rate}).

    Args:
        config: YAML text, or an OmegaConf object as `read_bin` reads it.
        file: The file that it is from, for errors.

    Raises:
        CheckpointError: If it is damaged, or has more than MAX_NODES values.
    """
    try:
        stored = yaml.load(config, _Loader) if isinstance(config, str) else config  # noqa: S506
        values = _plain(stored, iter(range(MAX_NODES)))
        if not isinstance(values, dict):
            raise TypeError(f"it is {type(values).__name__}, not a mapping")
        resolved: dict[str, Any] = _resolve(values, values)
    except (yaml.YAMLError, RecursionError, TypeError, ValueError) as error:
        raise CheckpointError(f"{file}: xp.cfg cannot be read ({error}); {CURE}") from error
    return resolved


class _Loader(yaml.SafeLoader):
    """A safe loader without merge keys, with which a short text can expand to any size."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise TypeError("it has a merge key, <<, which is not supported")


def _plain(value: Any, budget: Iterator[int]) -> Any:
    """Copy plain values; a value that is referred to several times counts each time."""
    if next(budget, None) is None:
        raise TypeError(f"it has more than {MAX_NODES} values")
    if isinstance(value, Node):
        return _plain(value.state.get("_content", value.state.get("_val")), budget)
    if isinstance(value, dict):
        return {key: _plain(item, budget) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, budget) for item in value]
    return value


def _resolve(value: Any, root: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _resolve(item, root) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolve(item, root) for item in value]
    return _follow(value, root)


def _follow(value: Any, root: dict[str, Any]) -> Any:
    """Return the number or text at the end of a chain of references; None for a section."""
    for _ in range(MAX_REFERENCES):
        reference = re.fullmatch(r"\$\{([\w.]+)\}", value) if isinstance(value, str) else None
        if reference is None:
            return value
        value = _lookup(root, reference[1])
    raise TypeError(f"{value} refers to itself")


def _lookup(root: dict[str, Any], path: str) -> Any:
    value: Any = root
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return None if isinstance(value, (dict, list)) else value
