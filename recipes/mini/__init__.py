"""How the model that ships was made, from composing its corpus to packing its weights."""
