"""Facts to words, in many wordings, always true and never all at once.

Facts -> Draft (a word for each fact that is told) -> register -> spelling -> Worded(text, told)
"""

from recipes.mini.captions.caption import Told, Worded
from recipes.mini.captions.grammar import caption, worded
from recipes.mini.captions.templates import read_templates

__all__ = ["Told", "Worded", "caption", "read_templates", "worded"]
