"""The life of a prediction: queued, prepared, generated, stored, announced, retained."""
