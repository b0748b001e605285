"""`toccata measure`: folders of audio in, metrics out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from toccata.audio import files
from toccata.audio.transforms import cut
from toccata.audio.waveform import Waveform
from toccata.errors import InputError
from toccata.evaluation.agreement import agreement, analyze
from toccata.evaluation.audio_folder import Folder, captions, find, pairs
from toccata.evaluation.clap_score import clap_score
from toccata.evaluation.embedders import EMBEDDERS, LABELLERS, WORD_EMBEDDERS, Source
from toccata.evaluation.frechet import frechet
from toccata.evaluation.kl import divergence

# Called with the number of clips done, of all clips, and the name of the metric.
OnClip = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        made: The folder of clips.
        measures: Names of metrics, keys of `MEASURES`.
        device: Where networks run.
        against: The folder of references.
        captions: The folder of captions; None: beside the clips.
        weights: Where the weights of a network are, by its name (clap, vggish).
        offline: Whether nothing may be downloaded.
    """

    made: Path
    measures: Sequence[str]
    device: torch.device
    against: Path | None = None
    captions: Path | None = None
    weights: Mapping[str, str] = field(default_factory=dict)
    offline: bool = False


class Study:
    """The folders of a plan, with a cache of what several metrics need.

    Raises:
        InputError: A folder lacks references or captions that a metric needs.
    """

    def __init__(self, plan: Plan, on_clip: OnClip) -> None:
        takes = [MEASURES[name] for name in plan.measures]
        self.plan = plan
        self.made = find("made", plan.made)
        self._against = None if plan.against is None else find("against", plan.against)
        self.pairs = pairs(self.made, self.against) if any(one.pairs for one in takes) else []
        needs_captions = any(one.captions for one in takes)
        self.captions = captions(self.made, plan.captions) if needs_captions else []
        self._on_clip = on_clip
        self._networks: dict[str, Any] = {}
        self._embedded: dict[tuple[str, Path], list[Tensor]] = {}

    @property
    def against(self) -> Folder:
        if self._against is None:
            raise InputError("against", None, "give a folder to compare with")
        return self._against

    def network(self, table: Mapping[str, Callable[[Source], Any]], name: str) -> Any:
        """The network `name` of `table`, loaded at its first use."""
        if name not in self._networks:
            place = self.plan.weights.get(name)
            source = Source(self.plan.device, place, self.plan.offline)
            self._networks[name] = table[name](source)
        return self._networks[name]

    def embedded(self, folder: Folder, name: str) -> list[Tensor]:
        """Embeddings [W, D] of each file."""
        key = (name, folder.path)
        if key not in self._embedded:
            embedder = self.network(EMBEDDERS, name)
            doing = f"{name}: {folder.path.name}"
            self._embedded[key] = [
                embedder.embed(clip.samples, clip.sample_rate_hz)
                for (clip,) in self.read([(file,) for file in folder.files.values()], doing)
            ]
        return self._embedded[key]

    def read(
        self, groups: Sequence[tuple[Path, ...]], doing: str
    ) -> Iterator[tuple[Waveform, ...]]:
        """The waveforms of each group of files, one group at a time."""
        for done, group in enumerate(groups):
            self._on_clip(done, len(groups), doing)
            yield tuple(files.read(file) for file in group)


def measure(plan: Plan, on_clip: OnClip | None = None) -> dict[str, Any]:
    """Compute the metrics of a plan.

    Args:
        plan: What to measure.
        on_clip: Called before each clip.

    Returns:
        Under "clips" how many there were; each metric's result by its name.

    Raises:
        InputError: Metrics, weights, folders and captions do not fit; nothing was loaded yet.
        MissingExtraError: A network's package is not installed.
        CheckpointError: A network's weights cannot be loaded.
    """
    check(plan)
    study = Study(plan, on_clip or (lambda *_: None))
    sizes = {"made": len(study.made.files)}
    if plan.against is not None:
        sizes["against"] = len(study.against.files)
    results = {name: MEASURES[name].take(study) for name in plan.measures}
    return {"clips": sizes, **{name: asdict(result) for name, result in results.items()}}


def check(plan: Plan) -> None:
    """Check the names and options of a plan. Raises InputError."""
    for name in plan.measures:
        if name not in MEASURES:
            raise InputError("with", name, "use " + ", ".join(MEASURES))
        if plan.against is None and MEASURES[name].against:
            raise InputError("against", None, f"{name} compares: give a folder of references")
    for name in plan.weights:
        if name not in (*EMBEDDERS, *LABELLERS):
            raise InputError("weights", name, "use " + ", ".join((*EMBEDDERS, *LABELLERS)))


def _agreement(study: Study) -> Any:
    both = study.read(study.pairs, "agreement")
    analyses = [(analyze(clip), analyze(reference)) for clip, reference in both]
    return agreement([clip for clip, _ in analyses], [reference for _, reference in analyses])


def _frechet(study: Study, name: str) -> Any:
    made, against = (
        torch.cat(study.embedded(folder, name)) for folder in (study.made, study.against)
    )
    return frechet(made, against)


def _kl(study: Study, name: str) -> Any:
    labeller = study.network(LABELLERS, name)
    labelled = [
        [labeller.label(clip.samples, clip.sample_rate_hz) for clip in _as_long(made, reference)]
        for made, reference in study.read(study.pairs, name)
    ]
    return divergence([made for made, _ in labelled], [reference for _, reference in labelled])


def _as_long(made: Waveform, reference: Waveform) -> tuple[Waveform, Waveform]:
    """Both cut to the shorter one: a classifier's labels depend on the length."""
    end_s = min(made.duration_s, reference.duration_s)
    return cut(made, end_s=end_s), cut(reference, end_s=end_s)


def _clap(study: Study) -> Any:
    words = study.network(WORD_EMBEDDERS, "clap").embed_words(study.captions)
    return clap_score(study.embedded(study.made, "clap"), words)


@dataclass(frozen=True)
class Measure:
    """How a metric is computed, and whether it needs references, of the same names, or captions."""

    take: Callable[[Study], Any]
    against: bool = True
    pairs: bool = False
    captions: bool = False


MEASURES: Mapping[str, Measure] = {
    "agreement": Measure(_agreement, pairs=True),
    **{f"fad-{name}": Measure(partial(_frechet, name=name)) for name in EMBEDDERS},
    **{f"kl-{name}": Measure(partial(_kl, name=name), pairs=True) for name in LABELLERS},
    "clap": Measure(_clap, against=False, captions=True),
}
