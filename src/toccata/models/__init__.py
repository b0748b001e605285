"""Models by name: what is known of them, and how their files become a Model."""

from toccata.models.registry import KNOWN, Known, resolve

__all__ = ["KNOWN", "Known", "resolve"]
