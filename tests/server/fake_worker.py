"""A worker without models: short sines, made at once or as slowly as the prompt says.

"slow N" takes N seconds; "full" finds no room on the disk at first; "crash" kills the process the
first times it is asked, as often as the number in the prompt says; "fail" fails; "warn" warns.
encode-decode gives its input_audio back.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from toccata.audio.waveform import Waveform
from toccata.generation.clip import Clip
from toccata.server.worker.live_audio import LiveFiles
from toccata.server.worker.protocol import Pipe, out_name, receive, seeds_of, send
from toccata.settings import Settings

RATE_HZ = 8000


def run(pipe: Pipe, machine: Settings) -> None:
    canceled: set[str] = set()
    sending = threading.Lock()

    def say(kind: str, prediction_id: str = "", **data: Any) -> None:
        with sending:
            send(pipe, kind, prediction_id, **data)

    def beat() -> None:
        while True:
            say("alive", stalled_s=0.0)
            time.sleep(2.0)

    threading.Thread(target=beat, daemon=True).start()
    say("ready", device="cpu")
    try:
        while (message := receive(pipe)).kind != "stop":
            if message.kind == "cancel":
                canceled.add(message.id)
            else:
                job = dict(message.data or {})
                threading.Thread(target=_make, args=(job, say, canceled), daemon=True).start()
    except (EOFError, OSError):
        os._exit(0)


def _make(job: Mapping[str, Any], say: Any, canceled: set[str]) -> None:
    try:
        _tell(job, say, canceled)
    except OSError:
        os._exit(0)


def _tell(job: Mapping[str, Any], say: Any, canceled: set[str]) -> None:
    request, name = job["request"], job["id"]
    prompt = request.get("prompt") or ""
    say("started", name)
    _maybe_crash(prompt, Path(job["folder"]))
    if "full" in prompt and _is_first(Path(job["folder"])):
        say("blocked", name, error="No space left on device")
        return
    if "fail" in prompt:
        say("failed", name, error="prompt: it says fail")
        return
    if "warn" in prompt:
        say("warning", name, text="input_audio: it says warn")
    if "audio" in request:
        shutil.copy(request["audio"]["file"], Path(job["folder"]) / "out.wav")
        say("done", name, files=["out.wav"], metrics={})
        return
    began_s, folder, count = time.monotonic(), Path(job["folder"]), job["count"]
    lives = [LiveFiles(folder, i + 1) for i in range(count)]
    steps = int(20 * float((re.findall(r"slow ([\d.]+)", prompt) or ["0"])[0]))
    for step in range(steps):
        if name in canceled:
            say("canceled", name)
            return
        time.sleep(0.05)
        for number, live in enumerate(lives):
            live.push(Waveform(np.full((1, RATE_HZ), 0.1 * number, np.float32), RATE_HZ))
        say("progress", name, done=step + 1, total=steps)
    for live in lives:
        live.finish()
    seeds = seeds_of(job["seed"], count)
    files = [out_name(i + 1, count, job["output_format"]) for i in range(count)]
    for seed, file in zip(seeds, files, strict=True):
        _sine(seed, request["duration_s"], job["model"]).save(folder / file)
    metrics = {"model": job["model"], "audio_s": request["duration_s"], "seeds": seeds}
    if (heard_s := lives[0].begun_s) is not None:
        metrics["first_audio_s"] = heard_s - began_s
    say("done", name, files=files, metrics=metrics)


def _is_first(folder: Path) -> bool:
    """Whether it is asked for the first time."""
    mark = folder / "asked"
    first = not mark.exists()
    mark.touch()
    return first


def _sine(seed: int, duration_s: float, model: str) -> Clip:
    time_s = np.arange(int(RATE_HZ * duration_s)) / RATE_HZ
    sine = 0.5 * np.sin(2 * np.pi * (100 + seed % 1000) * time_s)
    return Clip(sine[None].astype(np.float32), RATE_HZ, seed=seed, model=model)


def _maybe_crash(prompt: str, folder: Path) -> None:
    times = re.findall(r"crash (\d+)", prompt)
    if times:
        count = folder / "crashes"
        crashed = int(count.read_text()) if count.exists() else 0
        if crashed < int(times[0]):
            count.write_text(str(crashed + 1))
            os._exit(9)
