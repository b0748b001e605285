"""The language model over codec codes: a pure forward and the delay pattern it is trained on."""
