"""Prior preservation (Ruiz et al. 2023, "DreamBooth", section 3.3): clips of the model itself.

They are generated before training and trained on as well, so that the model keeps what it can do.
DreamBooth's clips are of one class of things; here captions.txt covers what captions can name, with
a thousand that the composer of mini's training music wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

from toccata.audio.transforms import peak
from toccata.finetuning.dataset.encoding import SILENCE
from toccata.finetuning.dataset.preparation import OnProgress
from toccata.generation.handle import Toccata

CLIP_S = 10.0
_AT_ONCE = 8


def make_clips(
    load: Callable[[], Toccata], folder: Path, count: int, on_progress: OnProgress
) -> None:
    """Generate clips with their captions; silent ones are left out.

    Args:
        load: Loads the model, if a clip is missing.
        folder: The folder of the clips; existing ones are kept.
        count: How many clips.
        on_progress: Called after each batch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [number for number in range(count) if not _path(folder, number).exists()]
    model = load() if missing else None
    while model is not None and missing:
        numbers, missing = missing[:_AT_ONCE], missing[_AT_ONCE:]
        _make(model, folder, numbers)
        on_progress(count - len(missing), count, "generated clips of the model itself")


def _make(model: Toccata, folder: Path, numbers: Sequence[int]) -> None:
    duration_s = min(CLIP_S, model.model.segment_s)
    prompts = captions()
    texts = [prompts[number % len(prompts)] for number in numbers]
    requests = zip(texts, numbers, strict=True)
    clips = model.generate_batch(
        [{"prompt": text, "duration_s": duration_s, "seed": number} for text, number in requests]
    )
    for number, text, clip in zip(numbers, texts, clips, strict=True):
        if peak(clip.samples) < SILENCE:
            continue
        path = _path(folder, number)
        path.with_suffix(".txt").write_text(text, encoding="utf-8")
        clip.save(path)


def captions() -> list[str]:
    """The prompts of the clips; after the last one they repeat, with other seeds."""
    return files(__package__).joinpath("captions.txt").read_text(encoding="utf-8").splitlines()


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:04d}.wav"
