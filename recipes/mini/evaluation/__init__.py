"""The evaluation of a model: metrics of audio, and the suite that computes them."""
