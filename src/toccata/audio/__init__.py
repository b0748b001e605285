"""Audio input and output: files, formats, levels and tags. Nothing here imports torch."""
