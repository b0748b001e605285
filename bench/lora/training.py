"""Train the LoRA with the command that the documents print."""

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
# Clips of the base model in the dataset, for prior preservation.
KEPT = 16
CLIPS, FILE = style.NAME, f"{style.NAME}.safetensors"
_DONE = "training.json"
_FIRST_SEED = 0


def arguments(minutes: float) -> tuple[str, ...]:
    """Return the arguments of `toccata`, in the folder of the clips."""
    learn = ("train", "lora", "--data", CLIPS, "--base", BASE)
    return (*learn, "--keep", str(KEPT), "--minutes", f"{minutes:g}", "--output", FILE)


def command(minutes: float) -> str:
    return shlex.join(["toccata", *arguments(minutes)])


def trained(work: Path, minutes: float, clips: int, renderer: Renderer) -> dict[str, Any]:
    """Train a LoRA in `work`, unless it was trained there already, and describe the training.

    Returns:
        The command, the number of clips and the seconds of their music; steps, best_step, held_out
        and seconds of the command's output; the time of the command; and the size of the file.

    Raises:
        CalledProcessError: If the command failed; the reason is on stderr.
        SystemExit: If `work` has another training.
    """
    done = work / _DONE
    if not done.exists():
        music_s = style.write_clips(work / CLIPS, range(_FIRST_SEED, clips), renderer)
        data = {"command": command(minutes), "clips": clips, "music_s": round(music_s, 1)}
        done.write_text(json.dumps({**data, **_train(work, minutes)}), encoding="utf-8")
    kept: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
    if (kept["command"], kept["clips"]) != (command(minutes), clips):
        raise SystemExit(f"{work}: another training was done there; give another --work")
    return kept


def _train(work: Path, minutes: float) -> dict[str, Any]:
    began_s = time.monotonic()
    result = _run(work, [*arguments(minutes), "--json"])
    return {
        **{name: result[name] for name in ("steps", "best_step", "held_out", "seconds")},
        "wall_s": round(time.monotonic() - began_s, 1),
        "file_mb": round((work / FILE).stat().st_size / 1e6, 2),
    }


def _run(work: Path, options: list[str]) -> dict[str, Any]:
    # The command must use the toccata of this process, in any folder.
    sources = str(Path(toccata.__file__).parent.parent)
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "toccata", *options],
        cwd=work,
        env={**os.environ, "PYTHONPATH": sources},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
