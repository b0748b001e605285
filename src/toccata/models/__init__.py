"""Models: loading by name, checkpoint layouts, LoRA files."""

from toccata.models.registry import KNOWN, KnownModel, resolve

__all__ = ["KNOWN", "KnownModel", "resolve"]
