"""Moods in other words. No word stands for two of them, so that a caption tells one mood."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from recipes.mini.composer.genres import all_genres

MOODS: Mapping[str, tuple[str, ...]] = {
    "adventurous": ("daredevil", "exploring"),
    "aggressive": ("brutal", "violent", "in your face"),
    "angry": ("furious", "enraged"),
    "anthemic": ("stadium-sized", "rousing"),
    "bittersweet": ("happy-sad",),
    "bold": ("daring", "punchy"),
    "bouncy": ("springy", "bouncing"),
    "breezy": ("airy", "easygoing"),
    "bright": ("brilliant", "shiny"),
    "calm": ("quiet", "tranquil", "calming"),
    "carefree": ("untroubled", "lighthearted"),
    "catchy": ("hooky",),
    "cheerful": ("cheery", "merry"),
    "chill": ("chilled", "chilled-out"),
    "confident": ("self-assured", "cocky"),
    "cool": ("hip", "slick"),
    "cosy": ("cozy", "homely", "snug"),
    "dark": ("gloomy", "sinister", "ominous"),
    "dramatic": ("theatrical", "intense"),
    "dreamy": ("ethereal", "dreamlike", "hazy"),
    "driving": ("pulsing", "propulsive"),
    "earthy": ("rustic", "down-to-earth"),
    "elegant": ("refined", "stately"),
    "emotional": ("moving", "touching"),
    "energetic": ("powerful", "high-energy", "full of energy"),
    "epic": ("grand", "monumental", "larger than life"),
    "euphoric": ("ecstatic", "blissful"),
    "festive": ("celebratory", "party-like"),
    "fiery": ("blazing", "red-hot"),
    "floating": ("weightless", "drifting"),
    "funky": ("greasy",),
    "futuristic": ("sci-fi", "space-age"),
    "gentle": ("delicate", "mild-mannered"),
    "glamorous": ("glitzy", "glittering", "glam"),
    "graceful": ("flowing",),
    "gritty": ("raw", "rough", "grimy"),
    "groovy": ("danceable", "head-nodding"),
    "happy": ("feel-good", "good-humoured", "smiling"),
    "haunting": ("ghostly", "eerie", "spooky"),
    "heartbroken": ("broken-hearted", "heartbreaking"),
    "heroic": ("brave", "valiant"),
    "hopeful": ("optimistic", "full of hope"),
    "hypnotic": ("mesmerising", "mesmerizing"),
    "joyful": ("joyous", "jubilant", "full of joy"),
    "laid-back": ("laid back", "loose", "unhurried"),
    "late-night": ("late night", "midnight", "after-hours"),
    "lively": ("spirited", "animated"),
    "lonely": ("lonesome", "solitary"),
    "longing": ("yearning",),
    "melancholic": ("melancholy", "sorrowful", "mournful"),
    "mellow": ("mild", "easy on the ears"),
    "menacing": ("threatening", "evil"),
    "moody": ("broody", "brooding"),
    "mysterious": ("mystical", "enigmatic", "secretive"),
    "neon": ("neon-lit", "neon lights"),
    "nostalgic": ("retro", "sentimental"),
    "passionate": ("ardent", "full of passion"),
    "peaceful": ("soothing", "restful"),
    "playful": ("fun", "cheeky", "quirky"),
    "powerful": ("mighty",),
    "proud": ("dignified",),
    "rebellious": ("defiant", "unruly"),
    "relaxed": ("relaxing", "at ease"),
    "rolling": ("rollicking",),
    "romantic": ("tender", "loving", "amorous"),
    "rowdy": ("rambunctious", "boisterous"),
    "sad": ("unhappy", "tearful"),
    "sensual": ("sexy", "seductive"),
    "serene": ("placid", "untouched"),
    "simple": ("plain", "unadorned"),
    "smoky": ("smoke-filled",),
    "smooth": ("silky", "velvety"),
    "soulful": ("heartfelt", "full of soul"),
    "sunny": ("sun-drenched", "summery"),
    "swaggering": ("strutting", "full of swagger"),
    "tense": ("suspenseful", "nervous", "anxious"),
    "triumphant": ("victorious", "winning"),
    "upbeat": ("peppy", "perky", "positive"),
    "uplifting": ("inspiring", "elevating", "motivational"),
    "urgent": ("pressing", "hurried"),
    "warm": ("warm-hearted", "warming"),
    "weary": ("tired", "worn-out"),
    "whimsical": ("fanciful", "fairytale"),
    "wild": ("untamed", "crazy"),
    "wistful": ("pensive", "thoughtful"),
}  # fmt: skip


def mood_words(mood: str) -> tuple[str, ...]:
    """The mood itself, and its synonyms, if any."""
    return (mood, *(word for word in MOODS.get(mood, ()) if word not in known_moods()))


@cache
def known_moods() -> frozenset[str]:
    """Every mood of the table or of a genre: none of them is a synonym of another."""
    of_genres = (mood for g in all_genres() for mood in (*g.major_moods, *g.minor_moods))
    return frozenset((*MOODS, *of_genres))
