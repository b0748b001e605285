"""Audio at the borders: bytes to `Waveform` and back, levels, tags. No torch in here."""
