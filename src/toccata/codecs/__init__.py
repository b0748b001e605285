"""Neural audio codecs: audio to codes and back."""
