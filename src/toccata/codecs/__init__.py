"""Audio to codes and back."""
