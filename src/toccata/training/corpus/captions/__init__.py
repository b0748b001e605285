"""Facts to words, in many wordings, always true and never all at once.

Facts -> Draft (a word for each fact that is told) -> register -> spelling -> Worded(text, told)
"""

from toccata.training.corpus.captions.grammar import caption, worded
from toccata.training.corpus.captions.templates import read_templates
from toccata.training.corpus.captions.told import Told, Worded

__all__ = ["Told", "Worded", "caption", "read_templates", "worded"]
