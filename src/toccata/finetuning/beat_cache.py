"""A cache on disk of the beats that were found in chunks."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

from torch import nn

from toccata.conditioners.beats import Beats
from toccata.finetuning.dataset import Item
from toccata.models.lora_files import shape_text
from toccata.models.model import Model
from toccata.whole_files import replacing

log = logging.getLogger(__name__)


class BeatCache:
    """A JSON file: tempo and bar, or null, by the digest of all that beats depend on."""

    def __init__(self, path: Path, model: Model) -> None:
        """Open the cache; it never returns beats of another model, caption or music."""
        self._path = path
        self._model = _digest(model.name, shape_text(model.lm.config), _norms(model.lm))
        self._known = _read(path)

    def __contains__(self, item: Item) -> bool:
        return self._key(item) in self._known

    def __getitem__(self, item: Item) -> Beats | None:
        """The beats of an item; None: it has none. Raises KeyError for one that is not cached."""
        found = self._known[self._key(item)]
        return None if found is None else Beats(*found)

    def __setitem__(self, item: Item, beats: Beats | None) -> None:
        self._known[self._key(item)] = None if beats is None else (beats.bpm, beats.bar_s)

    def save(self) -> None:
        """Write the file, whole or not at all."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self._path) as temporary:
            temporary.write_text(json.dumps(self._known), encoding="utf-8")

    def _key(self, item: Item) -> str:
        return _digest(self._model, item.caption, str(item.tags.bpm), item.codes.tobytes())


def _read(path: Path) -> dict[str, tuple[float, float] | None]:
    """The content of the file; empty if it is missing or damaged."""
    if not path.is_file():
        return {}
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return {str(key): None if v is None else (v[0], v[1]) for key, v in known.items()}
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        log.warning("%s: is damaged (%s); beats are detected again", path, error)
        return {}


def _norms(decoder: nn.Module) -> bytes:
    """Weights with one dimension: they are small, and differ between trained models."""
    small = [weight for weight in decoder.parameters() if weight.ndim == 1]
    return b"".join(weight.detach().float().cpu().numpy().tobytes() for weight in small)


def _digest(*parts: str | bytes) -> str:
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()[:32]
