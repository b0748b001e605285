"""Generate the clips of one job, several variations in one batch.

Each clip is written as a file, and to files that grow while it is generated. Variation i, counted
from 0, is the clip of a job with one variation and the seed + i.
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
class Output:
    """One variation, generated and saved.

    Attributes:
        clip: The audio.
        file: The name of its file in the job's folder.
        seed: Its seed.
        first_audio_at: When its first audio was in the live file, by time.monotonic; None: never.
    """

    clip: Clip
    file: str
    seed: int
    first_audio_at: float | None


class Variations:
    """The variations of one job.

    Args:
        job: The job, its audio a local file or a part of one.
        model: The model, loaded.
        on_progress: Called with the progress of all variations together.
        is_canceled: Whether to stop; it is called before every step.
        warn: Called with a sentence about audio that is used although something is wrong with it.
        max_input_values: The most samples that the input audio may have.

    Raises:
        TooMuchError: The audio has more samples.
        InputError: The audio cannot be used.
    """

    def __init__(
        self,
        job: Job,
        model: Toccata,
        on_progress: Callable[[Progress], None],
        is_canceled: Callable[[], bool],
        warn: Callable[[str], None],
        *,
        max_input_values: int = MAX_VALUES,
    ) -> None:
        self._job, self._model = job, model
        self._on_progress, self._is_job_canceled = on_progress, is_canceled
        part = part_in_use(job.request, job.model)
        self._audio = None if part is None else _decoded(part, warn, max_input_values)
        if isinstance(job.request, GenerationRequest) and self._audio is not None:
            check_long_enough(self._audio, "input_audio")
        if self._audio is not None and is_silent(self._audio):
            warn(f"input_audio: {SILENT}")
        self._seeds = seeds_of(job.seed, job.count)
        self._done_frames = [0] * job.count
        self._progress_lock = threading.Lock()
        self._failed = threading.Event()

    @property
    def input_bytes(self) -> int:
        """The size of the decoded input audio."""
        return 0 if self._audio is None else self._audio.samples.nbytes

    def generate(self) -> list[Output]:
        """Generate all variations.

        Returns:
            The outputs, in the order of their seeds.

        Raises:
            Exception: The error of the first variation that failed; the others are stopped.
        """
        if self._job.count == 1:
            return [self._generate(0)]
        num_parallel = self._job.width or self._job.count
        with ThreadPoolExecutor(num_parallel, "variation") as threads:
            futures = [threads.submit(self._generate, i) for i in range(self._job.count)]
            errors = [error for one in futures if (error := one.exception()) is not None]
        # Those that were stopped because another failed have a CancelledError: it comes last.
        for error in sorted(errors, key=lambda error: isinstance(error, CancelledError)):
            raise error
        return [one.result() for one in futures]

    def _generate(self, index: int) -> Output:
        live = LiveFiles(Path(self._job.folder), index + 1)
        try:
            clip = self._clip(live, index)
            file = out_name(index + 1, self._job.count, self._job.output_format)
            clip.save(Path(self._job.folder) / file)
            return Output(clip, file, self._seeds[index], live.begun_s)
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
            on_progress=lambda progress: self._add_progress(index, progress),
            on_audio=live.push,
            cancel=self._is_canceled,
        )
        live.finish()
        return clip

    def _is_canceled(self) -> bool:
        return self._failed.is_set() or self._is_job_canceled()

    def _add_progress(self, index: int, progress: Progress) -> None:
        """Report the progress of all variations, which are equally long."""
        with self._progress_lock:
            self._done_frames[index] = progress.done_frames
            total_frames = progress.total_frames * len(self._done_frames)
            self._on_progress(Progress(sum(self._done_frames), total_frames))


def _decoded(part: AudioPart, warn: Callable[[str], None], max_values: int) -> Waveform:
    """Decode the audio of a request; errors name the inputs of the API."""
    try:
        return read_part(part, "input_audio", shown="input_audio", warn=warn, max_values=max_values)
    except InputError as error:
        if error.field != "start_s":
            raise
        raise InputError("continuation_start", error.value, error.allowed) from error


def metrics_of(outputs: list[Output], model: Toccata, began_s: float) -> dict[str, object]:
    """Measure a job that has just ended.

    Args:
        outputs: Its outputs, at least one.
        model: The model that generated them.
        began_s: When the worker began with it, by time.monotonic.

    Returns:
        The metrics of the prediction, by name, as the API shows them.
    """
    took_s = time.monotonic() - began_s
    first, audio_s = outputs[0], sum(one.clip.duration_s for one in outputs)
    metrics: dict[str, object] = {
        "audio_s": round(first.clip.duration_s, 3),
        "real_time_factor": round(audio_s / took_s, 3),
        "model": first.clip.model,
        "device": str(model.model.device),
        "seed": first.seed,
    }
    if len(outputs) > 1:
        metrics["seeds"] = [one.seed for one in outputs]
    if first.first_audio_at is not None:
        metrics["first_audio_s"] = round(first.first_audio_at - began_s, 3)
    return metrics
