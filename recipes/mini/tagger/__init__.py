"""The tagger and the key classifier: their dataset and training run."""
