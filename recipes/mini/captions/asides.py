"""Words without information about the music, so that a model learns to ignore them.

Whoever types a prompt names places, uses and things that no corpus knows.
"""

from __future__ import annotations

import numpy as np

from recipes.mini.captions.chance import one
from recipes.mini.captions.vocabulary import means_something

_USES = (
    "podcast intro", "study playlist", "cooking video", "travel vlog", "product launch",
    "wedding slideshow", "game menu", "puzzle game", "documentary", "short film", "ad campaign",
    "school play", "yoga class", "coffee shop", "book trailer", "boss fight", "science lecture",
    "stream overlay", "youtube channel", "museum tour", "birthday card", "radio jingle",
    "fashion show", "car commercial", "news segment", "meditation app", "dog video",
    "loading screen", "title sequence", "montage", "tutorial", "phone app", "theatre scene",
    "train station",
)  # fmt: skip
_DOING = (
    "walking", "driving home", "cycling", "running", "wandering", "sailing", "flying", "strolling",
    "looking out of a window", "falling asleep", "waking up", "getting lost",
)  # fmt: skip
_PLACES = (
    "tokyo", "paris", "new york", "lisbon", "berlin", "a desert", "a forest", "the mountains",
    "an old town", "a space station", "a shopping mall", "the ocean", "my grandmother's kitchen",
    "reykjavik", "a castle", "the suburbs", "an empty airport", "a snowy village", "mars",
    "a subway tunnel", "mexico city", "a library", "a rainy street", "istanbul",
)  # fmt: skip
_WHEN = (
    "at night",
    "at dawn",
    "in the rain",
    "in october",
    "in summer",
    "on a sunday",
    "in 1969",
    "",
)
_MODELS = (
    "a 1997 video game", "an old vhs tape", "a lost cartoon", "a spy film", "a saturday morning",
    "the radio in 1962", "a japanese commercial", "a western", "a nature programme",
    "my favourite band", "a dream I had", "the early 2000s", "the 90s", "a theme park ride",
)  # fmt: skip
_PRAISE = (
    "beautiful", "high quality", "professional", "masterpiece", "award-winning", "original",
    "amazing", "studio quality", "radio ready", "royalty free", "stereo", "unique", "creative",
    "well produced", "hi-fi sound", "the best ever", "polished", "number one hit", "viral",
)  # fmt: skip
_THINGS = (
    "purple elephant", "banana", "quantum", "lighthouse", "teapot", "velvet hammer", "sunflower",
    "robot gardener", "paper boat", "wolf", "kaleidoscope", "cinnamon", "dragon", "umbrella",
    "satellite", "pirate", "clockmaker", "marble", "astronaut", "raven", "lemonade", "labyrinth",
)  # fmt: skip
_ERAS = ("1970s", "from the 90s", "circa 2004", "victorian", "year 3000", "from 1985", "y2k")
_STARTS = (
    "ve",
    "lo",
    "tam",
    "quin",
    "ze",
    "ka",
    "mi",
    "dra",
    "sol",
    "ny",
    "or",
    "fen",
    "bru",
    "el",
)
_ENDS = ("ra", "lith", "don", "via", "quo", "mer", "zik", "tha", "nix", "by", "rell", "mo", "sh")
_TRIES = 8


def aside(rng: np.random.Generator) -> str:
    """A phrase without any word that names a fact; "" in the rare case that none was found."""
    for _ in range(_TRIES):
        phrase = _draw(rng)
        if not means_something(phrase):
            return phrase
    return ""


def invented_name(rng: np.random.Generator) -> str:
    """A name nobody bears, now and then with a number, such as "Tamlith" or "Zemo 25"."""
    name = (one(rng, _STARTS) + one(rng, _STARTS) + one(rng, _ENDS)).capitalize()
    if means_something(name) or rng.random() < 0.75:
        return name
    return f"{name}{one(rng, ('', ' '))}{int(rng.integers(2, 100))}"


def _draw(rng: np.random.Generator) -> str:
    kind = int(rng.integers(7))
    if kind == 0:
        return f"for {one(rng, ('a', 'my', 'our', 'the'))} {one(rng, _USES)}"
    if kind == 1:
        walk = f"{one(rng, _DOING)} {one(rng, ('in', 'through', 'near'))} {one(rng, _PLACES)}"
        return f"like {walk} {one(rng, _WHEN)}".strip()
    if kind == 2:
        return f"{one(rng, ('in the style of', 'like', 'reminds me of'))} {one(rng, _MODELS)}"
    if kind == 3:
        name = invented_name(rng)
        return one(rng, ("by {}", "called {}", "{} type", "for {}", "{} style")).format(name)
    return one(rng, (_PRAISE, _THINGS, _ERAS)[kind - 4])
