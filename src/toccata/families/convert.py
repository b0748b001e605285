"""`toccata convert`: any loaded model as one folder of our own."""

from toccata.families.layout_toccata import write as save_model

__all__ = ["save_model"]
