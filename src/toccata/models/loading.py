"""Load a model by name: find its folder, detect the layout, and read the checkpoint."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from toccata.codecs.encodec import EncodecConfig
from toccata.conditioners.base import TextEncoder
from toccata.conditioners.hubert import HubertConfig
from toccata.devices import pick_device, pick_precision
from toccata.errors import CheckpointError, InputError
from toccata.models import hub
from toccata.models.checkpoints import audiocraft, mert, native, transformers
from toccata.models.checkpoints.assembly import Checkpoint, LoadText, assemble
from toccata.models.checkpoints.tensors import LazyTensor, Part
from toccata.models.lora_files import read as read_lora
from toccata.models.lora_names import LoraNames, listed
from toccata.models.model import Model
from toccata.models.registry import find_folder

EXPERIMENTAL = (
    "precision %s is experimental: on weights like those of the published models it has not been "
    "measured, and on random ones it often chooses other codes than fp32; int8 does not"
)

log = logging.getLogger(__name__)


def load_model(
    name: str | Path,
    *,
    device: str | torch.device | None = None,
    precision: str | None = None,
    offline: bool | None = None,
    text_encoder: TextEncoder | None = None,
    lora: LoraNames | None = None,
    as_trained: bool = False,
) -> Model:
    """Load a model in any of the three layouts.

    Args:
        name: A short name, a hub id or a folder.
        device: cpu, cuda or mps; None selects the best one.
        precision: The precision of the LM: fp32, bf16, fp16, int8 or int4 (experimental); None
            selects the default of the device.
        offline: Whether nothing may be downloaded.
        text_encoder: Used instead of the checkpoint's.
        lora: Files that `toccata train lora` has written, each FILE or FILE:scale, to add to the
            LM's matrices.
        as_trained: Whether to leave out the checkpoint's condition scale, to train or write the
            model.

    Raises:
        UnknownModelError: If there is no model of this name.
        CheckpointError: If a file is missing or damaged.
        InputError: If an argument is invalid.
    """
    if offline is not None and not isinstance(offline, bool):
        raise InputError("offline", offline, "use True or False")
    selected_device = pick_device(device)
    selected_precision = pick_precision(selected_device, precision)
    if selected_precision.experimental:
        log.warning(EXPERIMENTAL, selected_precision.name)
    checkpoint = read_checkpoint(name, offline=bool(offline))
    return assemble(
        checkpoint,
        selected_device,
        selected_precision,
        text_encoder=text_encoder,
        text_dtype=torch.float32,
        offline=bool(offline),
        lora=[read_lora(one, checkpoint.lm_config) for one in listed(lora)],
        as_trained=as_trained,
    )


def read_checkpoint(name: str | Path, *, offline: bool = False) -> Checkpoint:
    """Find and parse a checkpoint; its tensors are not read yet.

    Raises:
        UnknownModelError: If there is no model of this name.
        CheckpointError: If a file is missing or damaged.
    """
    folder = find_folder(name, offline=offline)
    if native.matches(folder):
        return native.read(folder)
    label = str(name) if not Path(name).is_dir() else Path(name).resolve().name
    if transformers.matches(folder):
        return transformers.read(folder, label)
    if audiocraft.matches(folder):

        def load_t5(t5_name: str) -> LoadText:
            return transformers.read_t5(hub.fetch(t5_name, offline=offline))

        def load_codec(codec_id: str) -> tuple[EncodecConfig, Part]:
            return transformers.read_codec(hub.fetch(codec_id, offline=offline))

        def load_mert() -> tuple[HubertConfig, dict[str, LazyTensor]]:
            return mert.read(hub.fetch(hub.MERT, offline=offline))

        return audiocraft.read(folder, label, load_t5, load_codec, load_mert)
    raise CheckpointError(
        f"{folder}: has no model; there should be config.json with model.safetensors, "
        "or state_dict.bin with compression_state_dict.bin"
    )


def parts_elsewhere(folder: Path) -> list[str]:
    """Return the hub ids of other repositories that the model in a folder needs."""
    is_complete = native.matches(folder) or transformers.matches(folder)
    if is_complete or not audiocraft.matches(folder):
        return []
    return audiocraft.parts_elsewhere(folder)
