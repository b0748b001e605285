"""The decoder: the language model over codec codes, its delay pattern and its LoRA."""
