"""A folder of music to training material: found, checked, heard, encoded once.

files -> captions -> (without vocals) -> chunks -> codes, tempo, key, loudness -> items
"""

from toccata.training.folder.items import Item, Tags
from toccata.training.folder.options import FolderOptions
from toccata.training.folder.overview import FolderSummary, summary
from toccata.training.folder.preparation import prepare

__all__ = ["FolderOptions", "FolderSummary", "Item", "Tags", "prepare", "summary"]
