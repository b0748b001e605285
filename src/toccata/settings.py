"""Settings of a machine, from flags and TOCCATA_ variables.

A flag wins over its TOCCATA_ variable, which wins over the default. A TOCCATA_ variable that
nobody reads is an error, because it is a misspelt one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass

from toccata.errors import InputError

PREFIX = "TOCCATA_"
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8", "int4")
MAX_SLOTS = 1024
_MAX_DIGITS = 20
# Read by `toccata serve` alone; every command knows that they exist.
SERVER_VARIABLES = (
    "host", "port", "data_dir", "public_url", "token", "token_file", "no_auth", "stand_in", "queue",
    "database", "storage", "output_urls", "allow_private", "accept_any_version", "retention_s",
    "drain_s", "max_duration_s", "tls_cert", "tls_key", "upload_url", "page", "models",
    "allow_host", "shutdown_route", "upload_bytes", "upload_bytes_per_token", "max_connections",
)  # fmt: skip

Reader = Callable[[str, str], object]
Readers = Mapping[str, Reader]

# How threads of OpenMP wait is decided by its standard's variable, by libgomp's, or by libomp's.
_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
# Some microseconds of spinning in libgomp, which bridge the gap between two small products, and
# none in libomp, whose shortest time is far longer.
_PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}


@dataclass(frozen=True)
class Settings:
    """How the machine is used; what music is made is in `Inputs`.

    device and precision None: the best for the machine. Where the hub keeps weights is its own
    setting, HF_HOME. also: models that a server loads at start, besides `model`. lora: what is
    added to the model, each FILE or FILE:scale.
    """

    model: str = "mini"
    device: str | None = None
    precision: str | None = None
    offline: bool = False
    slots: int = 8
    also: tuple[str, ...] = ()
    lora: tuple[str, ...] = ()


def read(
    environment: Mapping[str, str] | None = None,
    lora: Sequence[str] | None = None,
    **flags: object,
) -> Settings:
    """Settings from `environment` (os.environ by default) and those `flags` that are not None.
    `lora` comes from its flag alone.

    Raises InputError naming the variable or flag, its value and what is allowed.
    """
    values = read_values(_READERS, environment, flags)
    return Settings(lora=tuple(lora or ()), **values)  # type: ignore[arg-type]


def read_values(
    readers: Readers, environment: Mapping[str, str] | None, flags: Mapping[str, object]
) -> dict[str, object]:
    """The values that `readers` know, by name. Raises InputError, as `read` does."""
    environment = os.environ if environment is None else environment
    values: dict[str, object] = {}
    for variable, text in environment.items():
        if variable.startswith(PREFIX):
            name = _name(variable, text)
            if name in readers:
                values[name] = readers[name](variable, text)
    for name, value in flags.items():
        if value is not None:
            values[name] = readers[name](f"--{name.replace('_', '-')}", str(value))
    return values


def _name(variable: str, text: str) -> str:
    name = variable.removeprefix(PREFIX).lower()
    if name in _READERS or name in SERVER_VARIABLES:
        return name
    from difflib import get_close_matches

    known = [PREFIX + reader.upper() for reader in (*_READERS, *SERVER_VARIABLES)]
    close = get_close_matches(variable, known, n=1)
    hint = f"did you mean {close[0]}?" if close else "the variables are " + ", ".join(known)
    raise InputError(variable, text, hint, "is no variable that toccata reads")


def read_text(source: str, text: str) -> str:
    if not text.strip():
        raise InputError(source, text, "give a value, or leave it out")
    return text.strip()


def _device(source: str, text: str) -> str:
    kind, _, number = text.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not number.isdecimal()):
        raise InputError(source, text, "it must be cpu, mps, cuda or cuda:N")
    return text


def _precision(source: str, text: str) -> str:
    if text not in PRECISIONS:
        raise InputError(source, text, "it must be one of " + ", ".join(PRECISIONS))
    return text


def read_boolean(source: str, text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if text.lower() not in words:
        raise InputError(source, text, "it must be one of " + ", ".join(words))
    return words[text.lower()]


def _slots(source: str, text: str) -> int:
    is_number = text.isdecimal() and len(text) <= _MAX_DIGITS  # Python reads 4300 at most
    if not is_number or not 1 <= int(text) <= MAX_SLOTS:
        raise InputError(source, text[:60], f"it must be a whole number from 1 to {MAX_SLOTS}")
    return int(text)


_READERS: Readers = {
    "model": read_text,
    "device": _device,
    "precision": _precision,
    "offline": read_boolean,
    "slots": _slots,
}


def wait_passively(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let torch's threads sleep soon while they wait for each other, unless the user said how.

    By default they spin for milliseconds. On cores that others use too, a thread then spins away
    the time that the one it waits for would need: docs/lab/performance.md has the figures. It must
    be called before torch is imported, by whoever owns the process; an import of the library
    leaves its caller's process as it is.

    Args:
        environment: What OpenMP reads when it is loaded, and what child processes inherit.
    """
    if not any(name in environment for name in _WAITING):
        environment.update(_PASSIVE)


def wait_as_by_default(environment: MutableMapping[str, str]) -> None:
    """Undo `wait_passively`, for a child process that runs somebody else's program."""
    if _PASSIVE.items() <= environment.items():
        for name in _PASSIVE:
            del environment[name]
