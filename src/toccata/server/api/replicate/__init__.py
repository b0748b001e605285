"""The hosted API under /v1: predictions, files, models."""
