"""Readers of checkpoint files, one for each layout; nothing in a file is executed."""
