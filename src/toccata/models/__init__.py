"""Models by name: what is known of them, and how their files become a Model."""

from toccata.models.registry import KNOWN, KnownModel, resolve

__all__ = ["KNOWN", "KnownModel", "resolve"]
