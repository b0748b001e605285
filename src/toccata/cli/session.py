"""From checked inputs to the library: opens the model, reads the audio, asks for the music."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from toccata.brief import brief_options
from toccata.cli.report import say, working
from toccata.errors import InputError
from toccata.inputs import Inputs
from toccata.schema import ENCODE_DECODE, MAX_SEED
from toccata.settings import Settings
from toccata.types import Clip, Progress, Waveform

if TYPE_CHECKING:
    from toccata.pipeline import Toccata


def open_model(machine: Settings, name: str) -> Toccata:
    """Load the model called `name`; encode-decode is a task, which the settings' model does."""
    import toccata

    name = machine.model if name == ENCODE_DECODE else name
    with working(f"loading {name}"):
        model = toccata.load(
            name,
            device=machine.device,
            precision=machine.precision,
            slots=machine.slots,
            offline=machine.offline or None,
            lora=machine.lora,
        )
    _compile(model, machine.device)
    return model


def _compile(model: Toccata, device: str | None) -> None:
    """Let a first start on this machine say what takes so long."""
    from toccata.backends.devices import pick_device
    from toccata.kernels.compiling import cache_folder, is_cold

    if pick_device(device).type == "cpu" and is_cold(cache_folder()):
        say("compiling kernels for this processor: once, for half a minute at most")
        with working("compiling"):
            model.warm_up()


@dataclass(frozen=True)
class Extras:
    """What the library takes beside the 14 inputs. None: by the model."""

    stride_s: float | None = None
    cfg_beta: float | None = None
    fade_in_s: float = 0.0
    fade_out_s: float = 0.0


def make(machine: Settings, inputs: Inputs, extras: Extras, count: int = 1) -> list[Clip]:
    """`count` clips, with the seeds from that of `inputs` up."""
    if inputs.seed + count - 1 > MAX_SEED:
        raise InputError("count", count, f"seed {inputs.seed} leaves no room for that many")
    part = _input_part(inputs)
    model = open_model(machine, inputs.model_version)
    started = time.monotonic()
    if part is not None and inputs.model_version == ENCODE_DECODE:
        with working("encoding and decoding"):
            return [model.encode_decode(part, normalization=inputs.normalization_strategy)]
    seeds = range(inputs.seed, inputs.seed + count)
    requests = [_request(replace(inputs, seed=seed), part, extras) for seed in seeds]
    with working("composing") as advance:

        def on_progress(progress: Progress) -> None:
            advance(progress.done_frames, progress.total_frames)

        clips = model.generate_batch(requests, on_progress=on_progress)
    say(f"composed in {time.monotonic() - started:.1f} s")
    return clips


def stream(machine: Settings, inputs: Inputs, extras: Extras) -> Iterator[Waveform]:
    """The music of `inputs`, piece by piece while it is made."""
    if inputs.model_version == ENCODE_DECODE:
        raise InputError("model_version", ENCODE_DECODE, "it cannot be streamed: write a file")
    part = _input_part(inputs)
    model = open_model(machine, inputs.model_version)
    say(f"seed {inputs.seed}")
    yield from model.stream(**_request(inputs, part, extras))


def _input_part(inputs: Inputs) -> Waveform | None:
    """The part of input_audio that the request uses. What is wrong with it goes to stderr."""
    from toccata.source_audio import input_part

    return input_part(inputs, inputs.model_version, lambda text: say(f"warning: {text}"))


def _request(inputs: Inputs, part: Waveform | None, extras: Extras) -> dict[str, Any]:
    """The fields of a `Brief`, for `inputs`."""
    return {**brief_options(inputs, part), **asdict(extras)}
