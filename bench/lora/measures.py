"""What a model makes of the style's name, and of everything else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.lora import style
from bench.lora.classifier import Classifier
from recipes.mini.composer.examples import VALIDATION_SEED, Example, example
from recipes.mini.composer.render import Renderer
from recipes.mini.evaluation import adherence
from recipes.mini.evaluation.clip_analysis import ClipAnalysis, analyze_all
from recipes.mini.evaluation.codec_metrics import through_codec
from recipes.mini.evaluation.generation import Maker
from recipes.mini.evaluation.metrics import unhealthy
from recipes.mini.evaluation.reference_songs import CLIP_S
from toccata.analysis.spectrum import RATE_HZ, Samples
from toccata.analysis.tagger import Tagger
from toccata.generation.handle import Toccata
from toccata.models.model import Model

Say = Callable[[str], None]

# Pieces of the style that no LoRA learns: to fit the classifier to, to judge it by, to ask for.
FITTED_SEED, JUDGED_SEED, ASKED_SEED = 10_000, 20_000, 30_000
# Songs of the corpus that no training and no other evaluation has: to ask for, to fit, to judge.
KEPT_SEED = VALIDATION_SEED + 40_000
OTHERS_FITTED_SEED, OTHERS_JUDGED_SEED = KEPT_SEED + 1_000, KEPT_SEED + 2_000


@dataclass(frozen=True)
class Sizes:
    """Counts of clips. learnt: that the LoRA is trained on. fitted, judged: of the style, for the
    classifier; of other music there are `others` times as many. asked: by the style's name. kept:
    for captions of the corpus.
    """

    learnt: int = 20
    fitted: int = 48
    judged: int = 48
    others: int = 2
    asked: int = 40
    kept: int = 48


@dataclass(frozen=True, eq=False)
class Judge:
    """Who hears the clips. accuracy: what the classifier gets right of held-out pieces of the style
    and of other held-out songs, all of them after the codec.
    """

    tagger: Tagger
    classifier: Classifier
    accuracy: Mapping[str, float]

    def share(self, heard: Sequence[ClipAnalysis]) -> float:
        """How many are the style, 0 to 1."""
        return self.classifier.share(torch.stack([one.embedding for one in heard]))


@dataclass(frozen=True)
class Asked:
    """What is asked of a model. pieces: of the style; kept: songs of the corpus."""

    pieces: Sequence[Example]
    kept: Sequence[Example]

    @classmethod
    def choose(cls, sizes: Sizes, renderer: Renderer) -> Asked:
        return cls(
            pieces=_pieces(ASKED_SEED, sizes.asked, renderer),
            kept=_songs(KEPT_SEED, sizes.kept, renderer),
        )


def train_judge(model: Model, tagger: Tagger, sizes: Sizes, renderer: Renderer) -> Judge:
    """All music is heard after the model's codec, as what the model makes is."""

    def heard(songs: Sequence[Example]) -> Tensor:
        return embeddings(through_codec(model, songs), tagger)

    many = sizes.others
    classifier = Classifier.fit(
        heard(_pieces(FITTED_SEED, sizes.fitted, renderer)),
        heard(_songs(OTHERS_FITTED_SEED, many * sizes.fitted, renderer)),
    )
    style_right = classifier.share(heard(_pieces(JUDGED_SEED, sizes.judged, renderer)))
    others = heard(_songs(OTHERS_JUDGED_SEED, many * sizes.judged, renderer))
    others_right = round(1 - classifier.share(others), 4)
    return Judge(tagger, classifier, {"style": style_right, "others": others_right})


def embeddings(clips: Sequence[Samples], tagger: Tagger) -> Tensor:
    """[N, E] of clips at RATE_HZ."""
    return torch.stack([tagger.predict(samples, RATE_HZ).embedding for samples in clips])


def figures(songs: Sequence[Example], clips: Sequence[Samples], judge: Judge) -> dict[str, Any]:
    """Of clips made for the captions of `songs`: the share of the style, that of each question's
    answers that are heard, and how many clips are unhealthy.
    """
    heard = analyze_all(clips, judge.tagger)
    return {
        "style": judge.share(heard),
        **adherence.rates(heard, songs),
        "unhealthy": unhealthy(clips),
    }


def made(model: Toccata, songs: Sequence[Example], judge: Judge, say: Say) -> dict[str, Any]:
    """The figures of clips that the model makes for the captions of `songs`."""
    return figures(songs, Maker(model, say).captioned(songs), judge)


def of_songs(songs: Sequence[Example], judge: Judge) -> dict[str, Any]:
    """The figures of the songs themselves, as the clips of a perfect model would have them."""
    return figures(songs, [song.audio for song in songs], judge)


def _pieces(seed: int, count: int, renderer: Renderer) -> list[Example]:
    return [style.example(one, CLIP_S, renderer) for one in range(seed, seed + count)]


def _songs(seed: int, count: int, renderer: Renderer) -> list[Example]:
    return [example(one, CLIP_S, renderer) for one in range(seed, seed + count)]
