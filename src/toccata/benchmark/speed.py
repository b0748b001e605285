"""Compare systems, with each run in a separate process, in turns, and report medians."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from toccata.benchmark.child import in_child
from toccata.benchmark.machine import Bandwidth
from toccata.benchmark.peers import MAX_SECONDS, PEERS
from toccata.benchmark.shapes import shape_of
from toccata.benchmark.task import Measured, Profile, rounded
from toccata.errors import InputError

OURS = "toccata"
MEASURE = "toccata.benchmark.ours:measure"
PROFILE = "toccata.benchmark.profiling:measure"
BANDWIDTH = "toccata.benchmark.machine:bandwidth"
MAX_TOTAL_SECONDS = 600.0

OnRun = Callable[[str, int, int], None]
"""Called before each process with its label, the number of finished processes, and their total."""
System = tuple[str, str | None]
"""A name and a precision."""
Figure = Literal[
    "ms_per_step", "times_real_time", "gb_per_s", "first_audio_s", "peak_rss_mb", "weights_mb"
]


class Row(TypedDict):
    """The medians of one system, in the units of `Measured`.

    `bandwidth_share` is gb_per_s divided by the bandwidth that was measured between the runs.
    """

    system: str
    precision: str
    device: str
    ms_per_step: float
    times_real_time: float
    gb_per_s: float
    bandwidth_share: float
    first_audio_s: float
    peak_rss_mb: float
    weights_mb: float


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured.

    Attributes:
        seconds: The length of a clip.
        shape: A shape for random weights; either this or `model`.
        model: The name of a model.
        precisions: Our precisions; None is the default of the device.
        peers: Names and precisions of other systems.
        runs: The number of runs of each system.
        device: The device; None selects the best one.
        profile: Whether the stages and parts are measured too.

    Raises:
        InputError: If a value is invalid.
    """

    seconds: float
    shape: str | None = None
    model: str | None = None
    precisions: Sequence[str | None] = (None,)
    peers: Sequence[tuple[str, str]] = ()
    runs: int = 1
    device: str | None = None
    profile: bool = False

    def __post_init__(self) -> None:
        if (self.shape is None) == (self.model is None):
            problem = self.shape and f"{self.shape} is given beside the model {self.model}"
            raise InputError("shape", self.shape, "give either a shape or a model", problem)
        if self.shape is not None:
            shape_of(self.shape)
        if not 0.5 <= self.seconds <= MAX_TOTAL_SECONDS:
            raise InputError("seconds", self.seconds, f"use 0.5 to {MAX_TOTAL_SECONDS:g}")
        if self.runs < 1:
            raise InputError("runs", self.runs, "use 1 or more")
        if self.peers:
            self._check_peers()

    def _check_peers(self) -> None:
        name = self.peers[0][0]
        if self.shape is None:
            cure = f"it has no weights but random ones: use --shape, not --model {self.model}"
            raise InputError("compare", name, cure)
        if self.seconds > MAX_SECONDS:
            raise InputError("seconds", self.seconds, f"{name} makes at most {MAX_SECONDS:g}")

    @property
    def systems(self) -> list[System]:
        return [*((OURS, precision) for precision in self.precisions), *self.peers]


@dataclass(frozen=True)
class Result:
    """The results of a `Plan`.

    Attributes:
        rows: The medians of each system.
        bandwidth_gb_per_s: The bandwidth of the device's memory.
        threads: The number of CPU threads.
        profiles: Our profiles, by precision.
    """

    rows: list[Row]
    bandwidth_gb_per_s: float
    threads: int
    profiles: dict[str, Profile]

    def to_json(self) -> list[dict[str, object]]:
        """Return the rows; ours have a `profile` if it was measured."""
        return [{**row, **self._profile(row)} for row in self.rows]

    def _profile(self, row: Row) -> dict[str, object]:
        own = row["system"] == OURS and row["precision"] in self.profiles
        return {"profile": self.profiles[row["precision"]]} if own else {}


def run(plan: Plan, on_run: OnRun) -> Result:
    """Measure all systems in turns, A B A B, so that changes of the machine affect all of them."""
    jobs = _Jobs(plan, on_run)
    found: dict[System, list[Measured]] = {system: [] for system in plan.systems}
    speeds: list[Bandwidth] = []
    for number in range(1, plan.runs + 1):
        for system, runs in found.items():
            runs.append(jobs.measure(system, number))
        speeds.append(jobs.bandwidth(runs[-1]["device"]))
    bandwidth = statistics.median(one["gb_per_s"] for one in speeds)
    return Result(
        rows=[medians(system[0], runs, bandwidth) for system, runs in found.items()],
        bandwidth_gb_per_s=bandwidth,
        threads=speeds[0]["threads"],
        profiles={own: jobs.profile(own) for own in _own(found)} if plan.profile else {},
    )


def _own(found: Mapping[System, Sequence[Measured]]) -> list[str]:
    """Return the names of our precisions, where None was replaced by the device's default."""
    return [runs[0]["precision"] for (system, _), runs in found.items() if system == OURS]


class _Jobs:
    """Runs the processes of a plan one after the other, and calls `on_run` before each."""

    def __init__(self, plan: Plan, on_run: OnRun) -> None:
        self._plan = plan
        self._on_run = on_run
        self._total = plan.runs * (len(plan.systems) + 1) + plan.profile * len(plan.precisions)
        self._done = 0

    def measure(self, system: System, number: int) -> Measured:
        name, precision = system
        label = f"{name} {precision or ''}".strip()
        is_peer = name != OURS
        measured: Measured = self._run(
            f"{label}, run {number} of {self._plan.runs}",
            PEERS[name].measure if is_peer else MEASURE,
            is_peer=is_peer,
            **self._arguments(precision),
        )
        return measured

    def bandwidth(self, device: str) -> Bandwidth:
        found: Bandwidth = self._run("speed of the memory", BANDWIDTH, device=device)
        return found

    def profile(self, precision: str) -> Profile:
        arguments = self._arguments(precision)
        found: Profile = self._run(f"profile of {precision}", PROFILE, **arguments)
        return found

    def _arguments(self, precision: str | None) -> dict[str, Any]:
        plan = self._plan
        subject = {"model": plan.model} if plan.shape is None else {"shape": plan.shape}
        return {"precision": precision, "seconds": plan.seconds, "device": plan.device, **subject}

    def _run(self, label: str, function: str, *, is_peer: bool = False, **arguments: object) -> Any:
        self._on_run(label, self._done, self._total)
        self._done += 1
        return in_child(function, is_peer=is_peer, **arguments)


def medians(system: str, runs: Sequence[Measured], bandwidth_gb_per_s: float) -> Row:
    """Compute the medians of all runs of a system."""

    def median(figure: Figure) -> float:
        return rounded(statistics.median(run[figure] for run in runs))

    return Row(
        system=system,
        precision=runs[0]["precision"],
        device=runs[0]["device"],
        ms_per_step=median("ms_per_step"),
        times_real_time=median("times_real_time"),
        gb_per_s=median("gb_per_s"),
        bandwidth_share=rounded(median("gb_per_s") / bandwidth_gb_per_s),
        first_audio_s=median("first_audio_s"),
        peak_rss_mb=median("peak_rss_mb"),
        weights_mb=median("weights_mb"),
    )
