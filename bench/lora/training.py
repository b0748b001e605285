"""The LoRA, made by the command that the docs print."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import toccata
from bench.lora import style
from recipes.mini.composer.render import Renderer

BASE = "mini"
# Clips of the base's own that are learnt beside the style.
KEPT = 16
CLIPS, FILE = style.NAME, f"{style.NAME}.safetensors"
_DONE = "training.json"
_FIRST_SEED = 0


def arguments(minutes: float) -> tuple[str, ...]:
    """Of `toccata`, in the folder that holds the clips."""
    learn = ("train", "lora", "--data", CLIPS, "--base", BASE)
    return (*learn, "--keep", str(KEPT), "--minutes", f"{minutes:g}", "--output", FILE)


def command(minutes: float) -> str:
    return shlex.join(["toccata", *arguments(minutes)])


def trained(work: Path, minutes: float, clips: int, renderer: Renderer) -> dict[str, Any]:
    """What came of the training: in `work` it is done once, and goes on if it was cut off.

    command: as it is printed. music_s: of all clips. steps, best_step, held_out, seconds: as the
    command says. wall_s: from the command to the file of file_mb. Raises CalledProcessError, the
    reason is on stderr; SystemExit if another training was done there.
    """
    done = work / _DONE
    if not done.exists():
        music_s = style.write_clips(work / CLIPS, range(_FIRST_SEED, clips), renderer)
        said = {"command": command(minutes), "clips": clips, "music_s": round(music_s, 1)}
        done.write_text(json.dumps({**said, **_train(work, minutes)}), encoding="utf-8")
    kept: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
    if (kept["command"], kept["clips"]) != (command(minutes), clips):
        raise SystemExit(f"{work}: another training was done there; give another --work")
    return kept


def _train(work: Path, minutes: float) -> dict[str, Any]:
    began_s = time.monotonic()
    said = _run(work, [*arguments(minutes), "--json"])
    return {
        **{name: said[name] for name in ("steps", "best_step", "held_out", "seconds")},
        "wall_s": round(time.monotonic() - began_s, 1),
        "file_mb": round((work / FILE).stat().st_size / 1e6, 2),
    }


def _run(work: Path, given: list[str]) -> dict[str, Any]:
    # The toccata that is measured, wherever the command is run.
    sources = str(Path(toccata.__file__).parent.parent)
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "toccata", *given],
        cwd=work,
        env={**os.environ, "PYTHONPATH": sources},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said
