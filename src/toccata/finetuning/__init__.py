"""Fine-tuning: any loaded model on a folder of music, by a LoRA or as a whole.

items -> batches -> conditions -> losses -> trained weights -> a file that loads
"""
