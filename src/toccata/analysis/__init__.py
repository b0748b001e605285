"""Music information retrieval: tempo, key, spectrum and tags of audio."""
