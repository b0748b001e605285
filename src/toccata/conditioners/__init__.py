"""Text and melody: what a request asks for, as vectors."""
