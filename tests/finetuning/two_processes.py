"""One of several processes that train a tiny model together."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from tests.finetuning.helpers import trainer
from toccata.finetuning.ranks import joined

if __name__ == "__main__":
    torch.set_num_threads(1)
    with joined(torch.device("cpu")) as ranks:
        trainer(Path(sys.argv[1]), ranks=ranks, batch=2, steps=3).train()
