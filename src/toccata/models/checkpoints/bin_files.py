"""Read PyTorch .bin files without executing anything in them.

Old releases pickle their configuration as an OmegaConf object. Its classes are stood in for by an
inert `Node`, from which plain dicts and lists are made; omegaconf itself is not needed, and any
other global that a file asks for is refused before it is looked up.
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


# A published configuration has some hundred values; small files can stand for billions.
MAX_NODES, MAX_REFERENCES = 100_000, 64
# Whatever torch.load raises for a file that it does not read.
UNREADABLE = (
    pickle.UnpicklingError, OSError, RuntimeError, ValueError, EOFError, LookupError, TypeError,
    AttributeError, AssertionError,
)  # fmt: skip


class Node:
    """Stands in for any OmegaConf object: keeps its state and does nothing."""

    def __setstate__(self, state: Any) -> None:
        self.state = state if isinstance(state, dict) else {}


class Marker:
    """Stands in for the types that OmegaConf objects mention."""


def plain_dict(*_: object) -> dict[Any, Any]:
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
    """The dict in a .bin file, its tensors mapped and not yet read.

    Raises CheckpointError for a file that is missing, truncated, or asks for code to be run.
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
    """The tensors in a dict that `read_bin` gave, read by name."""

    def __init__(self, state: Mapping[str, Any]) -> None:
        self._state = state

    def keys(self) -> list[str]:
        return [name for name, value in self._state.items() if isinstance(value, Tensor)]

    def get_tensor(self, name: str) -> Tensor:
        tensor: Tensor = self._state[name]
        return tensor


def damage_of(error: Exception) -> str:
    """What is wrong with a file, by what torch.load raised; without its advice to run the file."""
    text = str(error).strip() or type(error).__name__
    if not isinstance(error, pickle.UnpicklingError):
        return f"missing or damaged ({text.splitlines()[0]})"
    asked = re.search(r"GLOBAL ([\w.]+)", text)
    if asked:
        return f"it asks for {asked[1]}, which a model file has no need of; nothing was run"
    reason = re.search(r"Unpickler error:\s*(.+)", text)
    shown = f" ({reason[1]})" if reason else ""
    return f"it is damaged or hostile{shown}; nothing was run"


def plain_config(config: object, file: Path) -> dict[str, Any]:
    """A stored configuration (YAML text, or an OmegaConf object as read by `read_bin`) as dicts.

    Interpolations like ${sample_rate} are resolved. Raises CheckpointError, for a configuration of
    more than MAX_NODES values too.
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
    """Without merge keys, by which a short text becomes a mapping of any size."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise TypeError("it has a merge key, <<, which is not supported")


def _plain(value: Any, budget: Iterator[int]) -> Any:
    """A copy of plain values; what is there once and referred to often counts every time."""
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
    """The number or text that a chain of references ends at; whole sections are not copied."""
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
