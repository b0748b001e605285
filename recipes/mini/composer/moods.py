"""What a mood does to the music: how fast, how high, how busy, how short, how loud."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """`tempo` and `density` are -1, 0 or 1: the lower half of a genre's choices, all, the upper.

    `register` shifts the lead in semitones, `touch` is "short", "natural" or "long", `velocity`
    is added to every note.
    """

    tempo: int
    register: int
    density: int
    touch: str
    velocity: int


_SHAPES: Mapping[str, Shape] = {
    "calm": Shape(tempo=-1, register=0, density=-1, touch="long", velocity=-12),
    "sad": Shape(tempo=-1, register=-4, density=-1, touch="long", velocity=-8),
    "dark": Shape(tempo=0, register=-5, density=0, touch="natural", velocity=0),
    "warm": Shape(tempo=-1, register=-2, density=0, touch="natural", velocity=-4),
    "steady": Shape(tempo=0, register=0, density=0, touch="natural", velocity=0),
    "bright": Shape(tempo=1, register=5, density=1, touch="short", velocity=0),
    "strong": Shape(tempo=1, register=3, density=1, touch="natural", velocity=6),
    "grand": Shape(tempo=0, register=3, density=-1, touch="long", velocity=6),
}  # fmt: skip
_MOODS: Mapping[str, tuple[str, ...]] = {
    "calm": ("calm", "dreamy", "floating", "gentle", "peaceful", "serene"),
    "sad": (
        "bittersweet", "heartbroken", "lonely", "melancholic", "nostalgic", "sad", "soulful",
        "wistful",
    ),
    "dark": (
        "dark", "gritty", "haunting", "late-night", "menacing", "moody", "mysterious", "smoky",
        "tense",
    ),
    "warm": ("cosy", "earthy", "laid-back", "mellow", "relaxed", "romantic", "smooth", "warm"),
    "steady": (
        "confident", "cool", "dramatic", "elegant", "funky", "futuristic", "graceful", "groovy",
        "hypnotic", "neon", "rolling", "simple", "swaggering",
    ),
    "bright": (
        "bright", "carefree", "cheerful", "festive", "happy", "joyful", "lively", "playful",
        "sunny", "upbeat", "whimsical",
    ),
    "strong": (
        "adventurous", "aggressive", "angry", "bold", "driving", "energetic", "fiery", "glamorous",
        "passionate", "urgent",
    ),
    "grand": (
        "epic", "euphoric", "heroic", "hopeful", "powerful", "triumphant", "uplifting",
    ),
}  # fmt: skip

MOODS: Mapping[str, Shape] = {
    mood: _SHAPES[name] for name, moods in _MOODS.items() for mood in moods
}
