"""The command line of the benchmarks, and what it asks to be measured."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.shapes import SHAPES
from bench.speed import Speed

PEERS = ("transformers",)
PRECISIONS = ("fp32", "bf16", "int8", "int4")
MODEL, SHAPE = "mini", "small"
SEGMENT_S = 30.0


@dataclass(frozen=True)
class Plan:
    """model: also measure its start and how a process with it grows; None: only speeds."""

    speeds: list[Speed]
    model: str | None
    as_json: bool
    write: Path | None


def plan(arguments: Sequence[str] | None = None) -> Plan:
    """Read `arguments`, those of the program by default. Ends the program if they are wrong."""
    parser = _parser()
    given = parser.parse_args(arguments)
    whole = given.shape is None and given.model is None
    if given.compare and given.shape is None:
        parser.error("--compare needs --shape: the peers have no weights but random ones")
    if given.seconds > SEGMENT_S and (given.compare or whole):
        parser.error(f"--seconds: the peers make at most {SEGMENT_S:g} s")
    return Plan(
        speeds=_everything(given) if whole else _chosen(given),
        model=MODEL if whole else None,
        as_json=given.json,
        write=given.write,
    )


def _everything(given: argparse.Namespace) -> list[Speed]:
    return [_speed(given, shape=SHAPE, peers=PEERS), _speed(given, model=MODEL)]


def _chosen(given: argparse.Namespace) -> list[Speed]:
    speeds = []
    if given.shape is not None:
        peers = [given.compare] if given.compare else []
        speeds.append(_speed(given, shape=given.shape, peers=peers))
    if given.model is not None:
        speeds.append(_speed(given, model=given.model))
    return speeds


def _speed(
    given: argparse.Namespace,
    *,
    shape: str | None = None,
    model: str | None = None,
    peers: Sequence[str] = (),
) -> Speed:
    return Speed(given.seconds, given.precision, given.runs, shape, model, peers)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Speed and memory of toccata. Without --shape and --model: all there is, "
        f"which is the shape of {SHAPE} beside transformers, and {MODEL} in every way.",
    )
    add = parser.add_argument
    add("--shape", choices=SHAPES, help="random weights of this shape")
    add("--model", metavar="NAME", help="a model to load, by name or folder")
    add("--compare", choices=PEERS, help="also run this, with the same --shape")
    add("--precision", nargs="+", choices=PRECISIONS, default=["fp32"], help="default: fp32")
    add("--seconds", type=_seconds, default=8.0, help="of audio; default: 8")
    add("--runs", type=_runs, default=3, help="of each system, by turns; default: 3")
    add("--json", action="store_true", help="one JSON object on stdout, with every single run")
    add("--write", type=Path, metavar="FILE", help="also write the tables, docs/performance.md")
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.5 <= seconds <= 600:
        raise argparse.ArgumentTypeError(f"{text} must be from 0.5 to 600")
    return seconds


def _runs(text: str) -> int:
    runs = int(text)
    if runs < 1:
        raise argparse.ArgumentTypeError(f"{text} must be at least 1")
    return runs
