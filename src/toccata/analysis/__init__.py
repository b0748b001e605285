"""What can be heard in audio: its spectrum, its tempo, where its bars start."""
