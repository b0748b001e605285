"""Checkpoint files of every layout that is known, read without running anything in them."""
