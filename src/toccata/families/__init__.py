"""Models by name: what is known of them, and how their files become a Model."""

from toccata.families.known import KNOWN, Known, resolve

__all__ = ["KNOWN", "Known", "resolve"]
