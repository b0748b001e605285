"""Songs that no model was trained on, and which of them can answer which question."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from recipes.mini.captions import Told, worded
from recipes.mini.composer.compose import compose
from recipes.mini.composer.composition import Facts
from recipes.mini.composer.examples import VALIDATION_SEED, Example, caption_rng, example
from recipes.mini.composer.render import Renderer

CLIP_S, LONG_S = 8.0, 60.0
GIVEN_S, NEW_S = 4.0, 6.0
# Songs of the shard that watches over the training, and those that judge the tagger, end here.
FIRST_SEED = VALIDATION_SEED + 10_000
# Long songs that no clip is asked for: what steady music is, they say.
STEADY_SEED = FIRST_SEED + 1_000_000

Answers = Callable[[Facts, Told], bool]
# What each question needs of a song and its caption, and how much of `clips` it gets.
QUESTIONS: Mapping[str, tuple[float, Answers]] = {
    "tempo": (1.0, lambda _, told: told.bpm is not None),
    "key": (1.0, lambda _, told: bool(told.key)),
    "drums": (0.5, lambda _, told: told.drums is True),
    "no_drums": (0.5, lambda _, told: told.drums is False),
    "lead": (1.0, lambda _, told: bool(told.lead)),
    "genre": (1.0, lambda _, told: bool(told.genre)),
    "melody": (1.0, lambda facts, _: bool(facts.key)),
}
_FEWEST_MELODIES = 2  # one is held against the other's clip
_LONG_SHARE, _GUIDED_SHARE, _STEADY_SHARE = 0.2, 0.3, 0.5


@dataclass(frozen=True)
class Material:
    """Held-out songs by what they are for; a question takes those of `asked` that can answer it.

    asked: of 8 s, a clip is made for each caption. melodic: of these, those whose melody is given.
    continued: of 10 s. long: of 60 s. guided: how many of `asked` are asked for at every guidance.
    steady: songs of 60 s that nothing is asked of.
    """

    asked: Sequence[Example]
    melodic: Sequence[Example]
    continued: Sequence[Example]
    long: Sequence[Example]
    guided: int
    steady: Sequence[Example]

    @classmethod
    def choose(cls, clips: int, renderer: Renderer) -> Material:
        """Enough for `clips` clips per question."""

        def play(seeds: Iterable[int], duration_s: float) -> list[Example]:
            return [example(seed, duration_s, renderer) for seed in seeds]

        asked = play(seeds(clips), CLIP_S)
        melodic = [song for song in asked if song.song.facts.key][: max(clips, _FEWEST_MELODIES)]
        many = len(asked)
        long = [song.seed for song in asked[: _share(clips, _LONG_SHARE, many)]]
        steady = range(STEADY_SEED, STEADY_SEED + _share(clips, _STEADY_SHARE, clips))
        return cls(
            asked=asked,
            melodic=melodic,
            continued=play([song.seed for song in melodic], GIVEN_S + NEW_S),
            long=play(long, LONG_S),
            guided=_share(clips, _GUIDED_SHARE, many),
            steady=play(steady, LONG_S),
        )

    def seconds(self, guidances: int) -> float:
        """How much audio a model makes in all, if `guidances` of them are tried beside its own."""
        short = len(self.asked) + len(self.melodic) + guidances * self.guided
        return short * CLIP_S + len(self.continued) * NEW_S + len(self.long) * LONG_S


def seeds(clips: int) -> Iterator[int]:
    """Of the first songs that together answer every question often enough. A song that answers
    none that is still open is left out.
    """
    open_for = {name: max(1, round(clips * part)) for name, (part, _) in QUESTIONS.items()}
    open_for["melody"] = max(open_for["melody"], _FEWEST_MELODIES)
    for seed in count(FIRST_SEED):
        if not any(open_for.values()):
            return
        answered = [name for name in _answered(seed) if open_for[name]]
        for name in answered:
            open_for[name] -= 1
        if answered:
            yield seed


def _answered(seed: int) -> list[str]:
    facts = compose(seed, CLIP_S).facts
    told = worded(facts, caption_rng(seed)).told
    return [name for name, (_, answers) in QUESTIONS.items() if answers(facts, told)]


def _share(clips: int, share: float, most: int) -> int:
    return min(max(round(clips * share), 1), most)
