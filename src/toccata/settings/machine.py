"""The settings of a machine, which every command reads."""

from __future__ import annotations

from dataclasses import dataclass

from toccata.settings import checks
from toccata.settings.declaration import setting

PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8", "int4")
MAX_SLOTS = 1024


@dataclass(frozen=True)
class Settings:
    """How models are run; what music is made is in the request.

    Where the hub keeps weights is its own setting, HF_HOME.
    """

    model: str = setting("mini", "Model to use where none is named.", flags=("--model", "-m"))
    device: str | None = setting(
        None,
        "Device: cpu, cuda, cuda:N or mps.",
        "the fastest one available",
        check=checks.device,
    )
    precision: str | None = setting(
        None,
        "Precision of the weights: fp32, bf16 or fp16; on CPUs also int8 or int4 (experimental).",
        "auto, the fastest for the device",
        choices=PRECISIONS,
    )
    offline: bool = setting(
        False, "Use only weights that are on this machine.", flags=("--offline/--online",)
    )
    slots: int = setting(
        8, "Number of clips that are generated at the same time.", ge=1, le=MAX_SLOTS
    )
    also: tuple[str, ...] = setting(
        (),
        "Further models to load at start.",
        "on their first request",
        name="models",
        metavar="NAME,NAME",
        is_of_server=True,
    )
    lora: tuple[str, ...] = setting(
        (),
        "LoRA file to add to the model, with its scale. Can be repeated.",
        metavar="FILE[:SCALE]",
        is_repeatable=True,
        has_variable=False,
    )
