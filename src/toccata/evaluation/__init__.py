"""Metrics on folders of audio files of any model: FAD, KL, CLAP score, agreement."""
