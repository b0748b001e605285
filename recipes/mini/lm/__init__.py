"""The language model of mini: the encoded corpus, its batches and its training run."""
