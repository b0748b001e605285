"""Generate the clips of one job, several variations in one batch.

Each is written as a file, and to files that grow while it is made. Variation i, counted from 0, is
what a job of its own with the seed + i would make.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from toccata.audio.audio_input import MAX_VALUES, AudioPart
from toccata.audio.waveform import Waveform
from toccata.errors import CancelledError, InputError
from toccata.generation.clip import Clip, Progress
from toccata.generation.request import EncodeDecodeRequest, GenerationRequest
from toccata.generation.source_audio import (
    SILENT,
    check_long_enough,
    is_silent,
    part_in_use,
    read_part,
)
from toccata.server.worker.live_audio import LiveFiles
from toccata.server.worker.protocol import Job, out_name, seeds_of

if TYPE_CHECKING:
    from toccata.generation.handle import Toccata


@dataclass(frozen=True)
class Made:
    """file: its name in the job's folder. heard_at: when its first audio could be heard while it
    was made, as time.monotonic says; None: never.
    """

    clip: Clip
    file: str
    seed: int
    heard_at: float | None


class Variations:
    """on_progress hears of all of them together; they end once `stopped` says True.

    warn takes a sentence about audio that was used although something is wrong with it.
    """

    def __init__(
        self,
        job: Job,
        model: Toccata,
        on_progress: Callable[[Progress], None],
        stopped: Callable[[], bool],
        warn: Callable[[str], None],
        *,
        max_input_values: int = MAX_VALUES,
    ) -> None:
        """Raises TooMuchError for audio of more than `max_input_values` samples."""
        self._job, self._model = job, model
        self._on_progress, self._stopped = on_progress, stopped
        part = part_in_use(job.request, job.model)
        self._audio = None if part is None else _decoded(part, warn, max_input_values)
        if isinstance(job.request, GenerationRequest) and self._audio is not None:
            check_long_enough(self._audio, "input_audio")
        if self._audio is not None and is_silent(self._audio):
            warn(f"input_audio: {SILENT}")
        self._seeds = seeds_of(job.seed, job.count)
        self._done = [0] * job.count
        self._counting = threading.Lock()
        self._failed = threading.Event()

    @property
    def input_bytes(self) -> int:
        """How much decoded audio it holds."""
        return 0 if self._audio is None else self._audio.samples.nbytes

    def make(self) -> list[Made]:
        """All, in order. If one fails, all end with its error."""
        if self._job.count == 1:
            return [self._make(0)]
        at_once = self._job.width or self._job.count
        with ThreadPoolExecutor(at_once, "variation") as threads:
            futures = [threads.submit(self._make, i) for i in range(self._job.count)]
            errors = [error for one in futures if (error := one.exception()) is not None]
        # Those that ended because another failed have nothing to say.
        for error in sorted(errors, key=lambda error: isinstance(error, CancelledError)):
            raise error
        return [one.result() for one in futures]

    def _make(self, index: int) -> Made:
        live = LiveFiles(Path(self._job.folder), index + 1)
        try:
            clip = self._clip(live, index)
            file = out_name(index + 1, self._job.count, self._job.output_format)
            clip.save(Path(self._job.folder) / file)
            return Made(clip, file, self._seeds[index], live.begun_s)
        except BaseException:
            self._failed.set()
            raise
        finally:
            live.close()

    def _clip(self, live: LiveFiles, index: int) -> Clip:
        request = self._job.request
        if self._audio is not None:
            request = request.with_audio(self._audio)
        if isinstance(request, EncodeDecodeRequest):
            return self._model.encode_decode(
                request.audio, normalization=request.normalization, cancel=self._is_canceled
            )
        request = request.model_copy(update={"seed": self._seeds[index]})
        clip = self._model.generate(
            **dict(request),
            on_progress=lambda progress: self._count(index, progress),
            on_audio=live.push,
            cancel=self._is_canceled,
        )
        live.finish()
        return clip

    def _is_canceled(self) -> bool:
        return self._failed.is_set() or self._stopped()

    def _count(self, index: int, progress: Progress) -> None:
        """All are of the same length."""
        with self._counting:
            self._done[index] = progress.done_frames
            total = progress.total_frames * len(self._done)
            self._on_progress(Progress(sum(self._done), total))


def _decoded(part: AudioPart, warn: Callable[[str], None], max_values: int) -> Waveform:
    """The audio of a request, with errors in the names of the inputs."""
    try:
        return read_part(part, "input_audio", shown="input_audio", warn=warn, max_values=max_values)
    except InputError as error:
        if error.field != "start_s":
            raise
        raise InputError("continuation_start", error.value, error.allowed) from error


def metrics_of(made: list[Made], model: Toccata, began_s: float) -> dict[str, object]:
    """began_s: when the worker began with it, as time.monotonic said."""
    took_s = time.monotonic() - began_s
    first, audio_s = made[0], sum(one.clip.duration_s for one in made)
    metrics: dict[str, object] = {
        "audio_s": round(first.clip.duration_s, 3),
        "real_time_factor": round(audio_s / took_s, 3),
        "model": first.clip.model,
        "device": str(model.model.device),
        "seed": first.seed,
    }
    if len(made) > 1:
        metrics["seeds"] = [one.seed for one in made]
    if first.heard_at is not None:
        metrics["first_audio_s"] = round(first.heard_at - began_s, 3)
    return metrics
