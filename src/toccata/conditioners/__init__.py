"""Conditioners: text, melody, style, tempo, key and drums as vectors for the language model."""
