"""Reference songs: held out from training, and chosen so that every metric has enough of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from recipes.mini.captions import NamedFacts, write_caption
from recipes.mini.composer.compose import compose
from recipes.mini.composer.composition import Facts
from recipes.mini.composer.examples import VALIDATION_SEED, Example, caption_rng, example
from recipes.mini.composer.render import Renderer

CLIP_S, LONG_S = 8.0, 60.0
INPUT_S, NEW_S = 4.0, 6.0
# Songs that validate the training, and those that test the tagger, have lower seeds.
FIRST_SEED = VALIDATION_SEED + 10_000
# Long songs for the limits of `long_clips`.
STEADY_SEED = FIRST_SEED + 1_000_000

Serves = Callable[[Facts, NamedFacts], bool]
# By metric: its share of `clips`, and whether a song and its caption serve it.
QUESTIONS: Mapping[str, tuple[float, Serves]] = {
    "tempo": (1.0, lambda _, named: named.bpm is not None),
    "key": (1.0, lambda _, named: bool(named.key)),
    "drums": (0.5, lambda _, named: named.drums is True),
    "no_drums": (0.5, lambda _, named: named.drums is False),
    "lead": (1.0, lambda _, named: bool(named.lead)),
    "genre": (1.0, lambda _, named: bool(named.genre)),
    "melody": (1.0, lambda facts, _: bool(facts.key)),
}
_MIN_MELODIES = 2  # each is compared with the other's clip
_LONG_SHARE, _GUIDED_SHARE, _STEADY_SHARE = 0.2, 0.3, 0.5


@dataclass(frozen=True)
class Material:
    """Held-out songs by their use.

    Attributes:
        captioned: Of 8 s; a clip is generated for each caption.
        melodic: Those of them whose melody is followed.
        continued: Of 10 s.
        long: Of 60 s.
        guided: How many of `captioned` are generated at every guidance.
        steady: Of 60 s, for the limits of steadiness.
    """

    captioned: Sequence[Example]
    melodic: Sequence[Example]
    continued: Sequence[Example]
    long: Sequence[Example]
    guided: int
    steady: Sequence[Example]

    @classmethod
    def choose(cls, clips: int, renderer: Renderer) -> Material:
        """Choose enough for `clips` clips per metric."""

        def play(seeds: Iterable[int], duration_s: float) -> list[Example]:
            return [example(seed, duration_s, renderer) for seed in seeds]

        captioned = play(seeds(clips), CLIP_S)
        melodic = [song for song in captioned if song.song.facts.key][: max(clips, _MIN_MELODIES)]
        many = len(captioned)
        long = [song.seed for song in captioned[: _share(clips, _LONG_SHARE, many)]]
        steady = range(STEADY_SEED, STEADY_SEED + _share(clips, _STEADY_SHARE, clips))
        return cls(
            captioned=captioned,
            melodic=melodic,
            continued=play([song.seed for song in melodic], INPUT_S + NEW_S),
            long=play(long, LONG_S),
            guided=_share(clips, _GUIDED_SHARE, many),
            steady=play(steady, LONG_S),
        )

    def seconds(self, guidances: int) -> float:
        """How much audio is generated in all, with `guidances` besides the usual one."""
        short = len(self.captioned) + len(self.melodic) + guidances * self.guided
        return short * CLIP_S + len(self.continued) * NEW_S + len(self.long) * LONG_S


def seeds(clips: int) -> Iterator[int]:
    """Seeds of the first songs that together serve every metric often enough.

    A song that serves none that still needs songs is left out.
    """
    missing = {name: max(1, round(clips * part)) for name, (part, _) in QUESTIONS.items()}
    missing["melody"] = max(missing["melody"], _MIN_MELODIES)
    for seed in count(FIRST_SEED):
        if not any(missing.values()):
            return
        served = [name for name in _served(seed) if missing[name]]
        for name in served:
            missing[name] -= 1
        if served:
            yield seed


def _served(seed: int) -> list[str]:
    facts = compose(seed, CLIP_S).facts
    named = write_caption(facts, caption_rng(seed)).named
    return [name for name, (_, serves) in QUESTIONS.items() if serves(facts, named)]


def _share(clips: int, share: float, most: int) -> int:
    return min(max(round(clips * share), 1), most)
