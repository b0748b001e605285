"""Music that a model makes before it is trained, to be learned beside what is new.

So it stays able to do the rest: the prior preservation of Ruiz et al. 2023, "DreamBooth", section
3.3. There the clips are of one class of things; here their words name all that captions can.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from toccata.audio.transforms import peak
from toccata.generation.pipeline import Toccata
from toccata.training.corpus.captions import caption
from toccata.training.corpus.compose import compose
from toccata.training.corpus.stream import caption_rng
from toccata.training.folder.encoding import SILENCE
from toccata.training.folder.preparation import OnProgress

CLIP_S = 10.0
_AT_ONCE = 8
_FIRST_SEED = 700_000_000


def make_clips(
    load: Callable[[], Toccata], folder: Path, count: int, on_progress: OnProgress
) -> None:
    """`count` clips in `folder`, each with its caption beside it. Those that are there are kept,
    and without any to make the model is not loaded. A silent one is left out: there is nothing to
    be kept in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [number for number in range(count) if not _path(folder, number).exists()]
    model = load() if missing else None
    while model is not None and missing:
        numbers, missing = missing[:_AT_ONCE], missing[_AT_ONCE:]
        _make(model, folder, numbers)
        on_progress(count - len(missing), count, "made clips of the model's own")


def _make(model: Toccata, folder: Path, numbers: Sequence[int]) -> None:
    duration_s = min(CLIP_S, model.model.segment_s)
    captions = [words(number) for number in numbers]
    asked = zip(captions, numbers, strict=True)
    clips = model.generate_batch(
        [{"prompt": text, "duration_s": duration_s, "seed": number} for text, number in asked]
    )
    for number, text, clip in zip(numbers, captions, clips, strict=True):
        if peak(clip.samples) < SILENCE:
            continue
        path = _path(folder, number)
        path.with_suffix(".txt").write_text(text, encoding="utf-8")
        clip.save(path)


def words(number: int) -> str:
    """What is asked for in a clip: the caption of a song that is not played."""
    seed = _FIRST_SEED + number
    return caption(compose(seed, CLIP_S).facts, caption_rng(seed))


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:04d}.wav"
