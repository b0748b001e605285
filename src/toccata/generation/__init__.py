"""From a request to a clip: every stage in order, in pipeline.py."""
