"""Find weights in the local cache of the Hugging Face hub, or download them.

This module does not import torch, because the command line lists models with it.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from toccata.errors import CheckpointError, InputError
from toccata.models.checkpoints.config_fields import shard_files

PACKAGED = Path(__file__).parents[1] / "mini"

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
BINS = ("state_dict.bin", "compression_state_dict.bin")
# The feature extractor of the style model, which is published as a separate .bin file.
MERT, MERT_BIN = "m-a-p/MERT-v1-95M", "pytorch_model.bin"
# Most repositories have their weights in several formats, of which one is downloaded.
SAFETENSORS = (CONFIG, "tokenizer.json", WEIGHTS, INDEX, "model-*-of-*.safetensors")

# T5's repositories have moved to an owner, but checkpoints use their old names.
OWNERS = {name: f"google-t5/{name}" for name in ("t5-small", "t5-base", "t5-large")}
NON_COMMERCIAL = "facebook/"
LICENCE, NON_COMMERCIAL_LICENCE = "MIT", "CC-BY-NC 4.0"

OnBytes = Callable[[int, int], None]
"""Takes downloaded and total bytes; the total grows while files are being found."""

log = logging.getLogger(__name__)


def find(hub_id: str | None, *, cache_dir: Path | None = None) -> str | None:
    """Find the folder of a model whose files are all on this machine.

    Args:
        hub_id: The model; None for the one in the package.
        cache_dir: The cache of the hub; None for its default.

    Returns:
        The folder; None if a file is missing.
    """
    folder = _packaged() if hub_id is None else _cached(hub_id, cache_dir)
    return None if folder is None else str(folder)


def fetch(
    hub_id: str | None,
    *,
    offline: bool = False,
    cache_dir: Path | None = None,
    on_bytes: OnBytes | None = None,
) -> Path:
    """Return the folder of a model, and download it if a file is missing.

    An interrupted download is resumed.

    Args:
        hub_id: The model; None for the one in the package.
        offline: Whether nothing may be downloaded.
        cache_dir: The cache of the hub; None for its default.
        on_bytes: Called with the progress of the download.

    Raises:
        CheckpointError: If the model is missing and cannot be downloaded.
    """
    here = find(hub_id, cache_dir=cache_dir)
    if here is not None:
        return Path(here)
    if hub_id is None:
        raise CheckpointError(f"{PACKAGED}: files are missing; install toccata again")
    if offline:
        raise CheckpointError(
            f"{hub_id}: is not on this machine; run `toccata models pull {_short(hub_id)}` "
            "while online"
        )
    return _download(OWNERS.get(hub_id, hub_id), cache_dir, on_bytes or _ignore)


def cached(cache_dir: Path | None = None) -> Mapping[str, int]:
    """Return the hub ids of all models in the cache, complete or not, with their size in bytes."""
    return {hub_id: repository.size_on_disk for hub_id, repository in _scan(cache_dir).items()}


def licence_of(hub_id: str | None) -> str | None:
    """Return the licence of a model's weights; None if only the hub has it."""
    if hub_id is None:
        return LICENCE
    return NON_COMMERCIAL_LICENCE if hub_id.startswith(NON_COMMERCIAL) else None


def remove(hub_id: str | None, *, cache_dir: Path | None = None) -> int:
    """Delete a model from the cache, including unfinished downloads.

    Returns:
        How many bytes were freed.

    Raises:
        InputError: If the model is the one in the package.
        CheckpointError: If the model is not in the cache.
    """
    if hub_id is None:
        raise InputError("model", "mini", "it is part of the package; name a model that was pulled")
    repository = _scan(cache_dir).get(hub_id)
    if repository is None:
        raise CheckpointError(
            f"{hub_id}: is not on this machine; `toccata models list` shows what is"
        )
    # The hub's client deletes by revision, and could delete another repository with the same hash.
    shutil.rmtree(repository.repo_path)
    return int(repository.size_on_disk)


def _packaged() -> Path | None:
    return PACKAGED if _is_whole(PACKAGED) else None


def _cached(hub_id: str, cache_dir: Path | None) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    for name in dict.fromkeys((hub_id, OWNERS.get(hub_id, hub_id))):
        try:
            folder = snapshot_download(
                name, cache_dir=cache_dir, local_files_only=True, allow_patterns=[CONFIG]
            )
        except (LocalEntryNotFoundError, HFValidationError):
            continue
        if _is_whole(Path(folder), hub_id):
            return Path(folder)
    return None


def _is_whole(folder: Path, hub_id: str | None = None) -> bool:
    """Return whether a folder has all weights, in one of the formats."""
    if hub_id == MERT and (folder / MERT_BIN).exists():
        return (folder / CONFIG).exists()
    if all((folder / name).exists() for name in BINS):
        return True
    return (folder / CONFIG).exists() and all(file.exists() for file in _weights(folder))


def _weights(folder: Path) -> list[Path]:
    if (folder / WEIGHTS).exists() or not (folder / INDEX).exists():
        return [folder / WEIGHTS]
    try:
        return shard_files(folder / INDEX)
    except CheckpointError:  # loading the model raises a better error
        return [folder / INDEX]


def _download(hub_id: str, cache_dir: Path | None, on_bytes: OnBytes) -> Path:
    _say_licence(hub_id)
    for patterns in (SAFETENSORS, BINS, *([(CONFIG, MERT_BIN)] if hub_id == MERT else [])):
        folder = _snapshot(hub_id, cache_dir, patterns, on_bytes)
        if _is_whole(folder, hub_id):
            return folder
    raise CheckpointError(
        f"{hub_id}: its repository has no model that can be loaded; there should be {CONFIG} "
        f"with {WEIGHTS}, or {' with '.join(BINS)}"
    )


def _snapshot(
    hub_id: str, cache_dir: Path | None, patterns: tuple[str, ...], on_bytes: OnBytes
) -> Path:
    from huggingface_hub import snapshot_download

    log.info("fetching %s", hub_id)
    try:
        folder = snapshot_download(
            hub_id,
            cache_dir=cache_dir,
            allow_patterns=list(patterns),
            tqdm_class=_bar(on_bytes),
        )
    except Exception as error:  # the exceptions of the network depend on the hub's version
        raise CheckpointError(
            f"{hub_id}: cannot be fetched ({_first_line(error)}); check the name and the network, "
            f"then run `toccata models pull {_short(hub_id)}`: it goes on where it stopped"
        ) from error
    return Path(folder)


def _say_licence(hub_id: str) -> None:
    if licence_of(hub_id) == NON_COMMERCIAL_LICENCE:
        log.warning("%s: its weights are CC-BY-NC 4.0, not for commercial use", hub_id)
    else:
        log.info("%s: see its licence at https://huggingface.co/%s", hub_id, hub_id)


def _bar(on_bytes: OnBytes) -> type[Any]:
    """Return a class of progress bars that show nothing and report bytes."""
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, unit: str = "it", desc: str = "", **kwargs: Any) -> None:
            kwargs.pop("name", None)
            super().__init__(*args, **{**kwargs, "disable": True})
            # The hub's client also has a bar of files, and a second one of transferred bytes.
            self._counts = unit == "B" and desc != "Downloading bytes"

        def update(self, n: float | None = 1) -> None:
            with self.get_lock():
                self.n += n or 0
            if self._counts:
                on_bytes(int(self.n), int(self.total or 0))

    return Bar


def _ignore(_done: int, _total: int) -> None:
    """Ignore the progress of a download."""


def _scan(cache_dir: Path | None) -> dict[str, Any]:
    """Return the repositories of models in the cache by hub id."""
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        repositories = scan_cache_dir(cache_dir).repos
    except CacheNotFound:
        return {}
    return {one.repo_id: one for one in repositories if one.repo_type == "model"}


def _short(hub_id: str) -> str:
    return hub_id.removeprefix("facebook/musicgen-")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
