"""Measure whether a LoRA learns a style, and what else it changes: `python -m bench.lora`.

clips of an invented style -> `toccata train lora` -> clips for prompts with the style's name,
without and with the LoRA -> a classifier counts those of the style; clips for captions of held-out
songs show other changes -> docs/lab/lora/results.json -> a part of docs/guide/fine_tuning.md
"""
