"""Measure speed on a GPU, beside transformers: `python -m bench.gpu`, or `make bench-gpu`.

Each measurement runs in a separate process. Without a GPU, a message is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.tables import table
from toccata.benchmark.shapes import SHAPES

PRECISION = "bf16"
SEGMENT_S = 30.0
COPY_BYTES, COPIES = 2**30, 10
NEED = "bench-gpu needs a CUDA device, and torch finds none: nothing was measured"

Figures = dict[str, float]

HEAD = """Random weights, guidance 3, top_k 250, {precision}. Each system is a process of its own.

- ms per step: LM and sampling, for one frame of 20 ms; median.
- x real time: seconds of audio made per second, from the prompt to the samples, of all streams.
- GB/s: the bytes of weights that a step has to read, over its time.
- first request: of a process that has just loaded the model; second: the same once more. What
  they differ by is, for the greater part, recording CUDA graphs, which a server does at its start.
- first audio: until the first second of audio is there; a peer that does not stream gives it all
  at the end. Of many streams, which start together: the median and the last.
"""
COLUMNS = {
    "ms_per_step": ("ms per step", "{:.2f}"),
    "times_real_time": ("x real time", "{:.1f}"),
    "gb_per_s": ("GB/s", "{:.0f}"),
    "first_request_s": ("first request, s", "{:.2f}"),
    "second_request_s": ("second, s", "{:.2f}"),
    "first_audio_s": ("first audio, s", "{:.2f}"),
    "last_first_audio_s": ("the last's, s", "{:.2f}"),
    "peak_gb": ("GPU memory, GB", "{:.1f}"),
}


def bandwidth(*, device: str = "cuda", size: int = COPY_BYTES) -> Figures:
    """Measure the bytes read and written per second by a copy of 1 GiB, the best of 10 runs."""
    import torch

    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds = [_timed(lambda: target.copy_(source), device) for _ in range(COPIES)]
    return {"gb_per_s": 2 * size / min(seconds) / 1e9}


def alone(*, shape: str, seconds: float, device: str = "cuda") -> Figures:
    """Measure a clip twice in a new process, and then the start of a stream."""
    from toccata.benchmark.ours import generate
    from toccata.benchmark.random_model import lm_config, step_bytes
    from toccata.benchmark.task import StepClock

    toccata = _loaded(shape, slots=8, device=device)
    first_request_s = _timed(lambda: generate(toccata, seconds), device)
    clock, audio_s = StepClock(), 0.0
    start = time.perf_counter()
    audio_s = generate(toccata, seconds, clock)
    second_request_s = time.perf_counter() - start
    return {
        "ms_per_step": 1000 * clock.step_s,
        "times_real_time": audio_s / second_request_s,
        "gb_per_s": step_bytes(lm_config(SHAPES[shape]), PRECISION) / clock.step_s / 1e9,
        "first_request_s": first_request_s,
        "second_request_s": second_request_s,
        "first_audio_s": _listen(toccata, seconds, to_the_end=False),
        "peak_gb": _peak_gb(device),
    }


def many(*, shape: str, seconds: float, streams: int, device: str = "cuda") -> Figures:
    """Measure concurrent streams, each read by a thread, after a warm-up as in a server."""
    toccata = _loaded(shape, slots=streams, device=device)
    warm_up_s = _timed(toccata.warm_up, device)
    _listen(toccata, 1.0, to_the_end=True)
    first_audio_s = [0.0] * streams

    def listen(number: int) -> None:
        first_audio_s[number] = _listen(toccata, seconds, to_the_end=True)

    threads = [threading.Thread(target=listen, args=(number,)) for number in range(streams)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall_s = time.perf_counter() - start
    return {
        "times_real_time": streams * seconds / wall_s,
        "warm_up_s": warm_up_s,
        "first_audio_s": statistics.median(first_audio_s),
        "last_first_audio_s": max(first_audio_s),
        "peak_gb": _peak_gb(device),
    }


def transformers(
    *, shape: str, seconds: float, device: str = "cuda", compiled: bool = False
) -> Figures:
    """Measure the peer as its users run it; `compiled` has a static cache and torch.compile."""
    import torch

    from toccata.benchmark import peer_transformers as peer
    from toccata.benchmark.random_model import lm_config, step_bytes
    from toccata.benchmark.task import StepClock

    sizes = SHAPES[shape]
    model = peer.model_of(sizes, PRECISION, device)
    if compiled:
        model.generation_config.cache_implementation = "static"
        model.decoder.forward = torch.compile(model.decoder.forward, mode="reduce-overhead")
    first_s = _timed(lambda: peer.generate(model, sizes, seconds, StepClock()), device)
    clock, start = StepClock(), time.perf_counter()
    audio_s = peer.generate(model, sizes, seconds, clock)
    _wait(device)
    second_s = time.perf_counter() - start
    return {
        "ms_per_step": 1000 * clock.step_s,
        "times_real_time": audio_s / second_s,
        "gb_per_s": step_bytes(lm_config(sizes), PRECISION) / clock.step_s / 1e9,
        "first_request_s": first_s,
        "second_request_s": second_s,
        "first_audio_s": second_s,
        "peak_gb": _peak_gb(device),
    }


def _loaded(shape: str, *, slots: int, device: str) -> Any:
    """Create a Toccata with random weights on the device."""
    from toccata.benchmark.random_model import random_model
    from toccata.generation.handle import Toccata

    return Toccata(random_model(SHAPES[shape], PRECISION, device), slots)


def _listen(toccata: Any, seconds: float, *, to_the_end: bool) -> float:
    """Return the seconds until the first audio of a stream."""
    from toccata.benchmark.task import CFG, PROMPT, TOP_K

    start = time.perf_counter()
    stream = toccata.stream(PROMPT, duration_s=seconds, seed=1, cfg=CFG, top_k=TOP_K)
    next(stream)
    first_audio_s = time.perf_counter() - start
    if to_the_end:
        for _ in stream:
            pass
    stream.close()
    return first_audio_s


def _timed(work: Callable[[], object], device: str) -> float:
    _wait(device)
    start = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: str) -> None:
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def _peak_gb(device: str) -> float:
    import torch

    return torch.cuda.max_memory_allocated(device) / 1e9 if device.startswith("cuda") else 0.0


JOBS: Mapping[str, Callable[..., Figures]] = {
    "bandwidth": bandwidth,
    "alone": alone,
    "many": many,
    "transformers": transformers,
}


def in_child(job: str, **arguments: object) -> Figures | str:
    """Run a job in a new process, and return its results, or the last line of its error."""
    print(f"{job} {arguments}", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "bench.gpu", "--job", job, json.dumps(arguments)]
    quiet = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, env={**os.environ, **quiet}
    )
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        return (done.stderr.splitlines() or [f"exit code {done.returncode}"])[-1]
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def systems(shape: str, seconds: float, streams: int, many_s: float) -> dict[str, Any]:
    """Return the jobs of one shape, ours and the peer's, by the names of their rows."""
    peer = {"job": "transformers", "shape": shape, "seconds": seconds}
    return {
        "toccata": {"job": "alone", "shape": shape, "seconds": seconds},
        "transformers, eager": peer,
        "transformers, static cache, compiled": {**peer, "compiled": True},
        f"toccata, {streams} streams of {many_s:g} s": {
            "job": "many", "shape": shape, "seconds": many_s, "streams": streams,
        },
    }  # fmt: skip


def report(machine: Sequence[str], results: Mapping[str, Mapping[str, Figures | str]]) -> str:
    """Format the tables in Markdown; jobs that failed are listed with the reason."""
    lines = ["# Performance on a GPU", "", HEAD.format(precision=PRECISION), *machine]
    for shape, rows in results.items():
        finished = {name: one for name, one in rows.items() if not isinstance(one, str)}
        cells = [
            [
                name,
                *(
                    form.format(one[key]) if key in one else "-"
                    for key, (_, form) in COLUMNS.items()
                ),
            ]
            for name, one in finished.items()
        ]
        heads = ["system", *(head for head, _ in COLUMNS.values())]
        lines += ["", f"## The shape of {shape}", "", table(heads, cells), ""]
        failed = {name: why for name, why in rows.items() if name not in finished}
        lines += [f"- {name} did not run: {why}" for name, why in failed.items()]
    return "\n".join(lines) + "\n"


def measure(options: argparse.Namespace) -> str:
    """Measure all shapes, and return the report."""
    from importlib.metadata import version

    import torch

    copied = in_child("bandwidth")
    speed = copied if isinstance(copied, str) else f"{copied['gb_per_s']:.0f} GB/s"
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "toccata"))
    machine = [f"- device: {torch.cuda.get_device_name()}; a copy on it reads and writes {speed}"]
    machine.append(f"- {versions}")
    results: dict[str, dict[str, Figures | str]] = {}
    for shape in options.shapes:
        rows = systems(shape, options.seconds, options.streams, options.stream_seconds)
        results[shape] = {name: in_child(**row) for name, row in rows.items()}
    return report(machine, results)


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    add = arguments.add_argument
    add("--shapes", nargs="+", choices=SHAPES, default=["small", "large"])
    add("--seconds", type=float, default=SEGMENT_S, help="length of a single clip; default: 30")
    add("--streams", type=int, default=64, help="number of concurrent streams; default: 64")
    add("--stream-seconds", type=float, default=8.0, help="length of each stream; default: 8")
    add("--write", type=Path, metavar="FILE", help="also write the tables to this file")
    add("--job", nargs=2, metavar=("NAME", "ARGUMENTS"), help=argparse.SUPPRESS)
    return arguments


def main() -> None:
    options = parser().parse_args()
    if options.job:
        print(json.dumps(JOBS[options.job[0]](**json.loads(options.job[1]))))
        return
    import torch

    if not torch.cuda.is_available():
        print(f"{NEED} (torch {torch.__version__})")
        return
    text = measure(options)
    print(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
