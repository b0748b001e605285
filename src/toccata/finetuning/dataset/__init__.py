"""A folder of music as a dataset: found, checked, analysed, encoded once.

files -> captions -> (without vocals) -> chunks -> codes, tempo, key, loudness -> items
"""

from toccata.finetuning.dataset.dataset_options import FolderOptions
from toccata.finetuning.dataset.items import Item, Tags
from toccata.finetuning.dataset.preparation import prepare
from toccata.finetuning.dataset.summary import FolderSummary, summary

__all__ = ["FolderOptions", "FolderSummary", "Item", "Tags", "prepare", "summary"]
