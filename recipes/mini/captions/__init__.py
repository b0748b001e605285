"""Write captions of songs: in many wordings, always true, and never with all facts.

Facts -> Draft (a word for each named fact) -> register -> spelling -> Caption(text, named)
"""

from recipes.mini.captions.caption import Caption, NamedFacts
from recipes.mini.captions.grammar import caption, write_caption
from recipes.mini.captions.templates import read_templates

__all__ = ["Caption", "NamedFacts", "caption", "read_templates", "write_caption"]
