"""The field's own measures of music, on folders of audio files: FAD, KL over labels, CLAP score."""
