"""The engine: continuous batching, in which requests join and leave at any step."""
