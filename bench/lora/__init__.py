"""That a LoRA learns a style and leaves the rest as it is: `python -m bench.lora`.

clips of a made-up style -> `toccata train lora` -> clips that are asked for by the style's name,
without and with the LoRA -> a classifier says which are the style; captions of held-out songs say
what else has changed -> docs/lab/lora/results.json -> a part of docs/guide/fine_tuning.md
"""
