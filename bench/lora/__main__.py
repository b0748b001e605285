"""`python -m bench.lora`: train, ask, judge, and put the figures into docs/guide/fine_tuning.md."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import toccata
from bench.about import ROOT, describe
from bench.lora import document, measures, style, training
from bench.lora.measures import Asked, Judge, Sizes
from recipes.mini.composer.render import Renderer
from toccata.analysis import classifier_weights
from toccata.generation.handle import Toccata

DOCUMENT = ROOT / "docs" / "guide" / "fine_tuning.md"
OUT, RESULTS = ROOT / "docs" / "lab" / "lora", "results.json"
WORK = ROOT / "runs" / "lora"
QUICK = Sizes(learnt=6, fitted=4, judged=4, asked=4, kept=2)
# By the name in the results: how much of the LoRA there is.
SCALES = {"without": 0.0, "half": 0.5, "full": 1.0}


def main() -> None:
    given = _parser().parse_args()
    results = given.out / RESULTS
    if given.check:
        if DOCUMENT.read_text(encoding="utf-8") != _rendered(results):
            raise SystemExit(f"{DOCUMENT.name}: out of date; run python -m bench.lora --render")
    elif given.quick:
        print(json.dumps(measure(given.work, given.minutes, QUICK), indent=2))
    else:
        if not given.render:
            _save(results, measure(given.work, given.minutes, Sizes()))
        DOCUMENT.write_text(_rendered(results), encoding="utf-8")


def measure(work: Path, minutes: float, sizes: Sizes) -> dict[str, Any]:
    """All that the docs say, from clips and a LoRA that are kept in `work`.

    Raises CheckpointError without a trained tagger, InputError without a soundfont.
    """
    tagger, renderer = classifier_weights.tagger(), Renderer()
    _say(f"training for {minutes:g} minutes")
    trained = training.trained(work, minutes, sizes.learnt, renderer)
    _say("fitting the classifier")
    judge = measures.train_judge(_loaded(work, 0.0).model, tagger, sizes, renderer)
    return {
        "machine": describe(),
        "name": style.NAME,
        "sizes": asdict(sizes),
        "training": trained,
        "classifier": judge.accuracy,
        **_heard(work, judge, Asked.choose(sizes, renderer)),
    }


def _heard(work: Path, judge: Judge, asked: Asked) -> dict[str, Any]:
    pieces, kept = {}, {}
    for name, scale in SCALES.items():
        _say(f"with the LoRA at {scale:g}")
        model = _loaded(work, scale)
        pieces[name] = measures.made(model, asked.pieces, judge, _say)
        if name != "half":
            kept[name] = measures.made(model, asked.kept, judge, _say)
    # What can be reached: the music that the captions are of.
    pieces["songs"] = measures.of_songs(asked.pieces, judge)
    kept["songs"] = measures.of_songs(asked.kept, judge)
    return {"style": pieces, "kept": kept}


def _loaded(work: Path, scale: float) -> Toccata:
    added = f"{work / training.FILE}:{scale:g}" if scale else None
    return toccata.load(training.BASE, device="cpu", offline=True, lora=added)


def _save(path: Path, results: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _rendered(results: Path) -> str:
    found = json.loads(results.read_text(encoding="utf-8")) if results.exists() else None
    return document.filled(DOCUMENT.read_text(encoding="utf-8"), found)


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.lora", description=__doc__)
    add = parser.add_argument
    add("--minutes", type=float, default=20.0, help="of training; default: 20")
    add("--out", type=Path, default=OUT, help="where results.json goes; default: docs/lab/lora")
    work = "where the clips and the LoRA are kept; default: runs/lora"
    add("--work", type=Path, default=WORK, help=work)
    add("--render", action="store_true", help="measure nothing")
    add("--check", action="store_true", help="exit 1 if the document is not as its results")
    add("--quick", action="store_true", help="few clips, shown and not kept")
    return parser


if __name__ == "__main__":
    main()
