"""One request and everything that is known about it while it runs. No torch: plain bookkeeping."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from toccata.decoder.delay import steps_of
from toccata.engine.rng import uniforms
from toccata.engine.windows import Window, plan, usable_prompt
from toccata.errors import ToccataError
from toccata.models.sampling_params import SamplingParams

if TYPE_CHECKING:
    from toccata.conditioners.base import Conditions
    from toccata.decoder.decoder import LMConfig

Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Request:
    """What the engine is asked for.

    frames: of new audio, at least 1. conditions: called once per window with the frame it starts
    at, counted from the start of the codes (prompt included). prompt [K, P]: codes to carry on.
    stride_frames: by how much the window moves on when the clip is longer than a segment.
    """

    conditions: Callable[[int], Conditions]
    frames: int
    params: SamplingParams
    seed: int
    stride_frames: int
    prompt: Codes | None = None


class Sequence:
    """A request's codes, window, position and end; the handle that `Engine.submit` returns.

    `codes` [K, prompt + new] holds what is known. Frames are final, and safe to read from any
    thread, as soon as `ready` (new frames) counts them.
    """

    def __init__(self, request: Request, config: LMConfig, segment_frames: int) -> None:
        self.request = request
        self.slot = -1
        self.branches = 1  # rows of the cache, known once its conditions are
        self.prefix = 0  # positions before the first step, of the window's conditions
        self.finish_reason: str | None = None  # "done", "cancelled" or "failed"
        self.error: ToccataError | None = None
        self.ready = 0
        self._delays = np.array(config.delays)
        self._prompt = self._usable(request, segment_frames)
        self.prompt_frames = self._prompt.shape[1]
        self._windows: Iterator[Window] = plan(
            self.prompt_frames, request.frames, segment_frames, request.stride_frames
        )
        # One place more than there are codes: where the pattern holds no frame, it points there.
        size = config.codebooks * (self.prompt_frames + request.frames)
        self._flat = np.full(size + 1, config.special_id, np.int64)
        self.codes = self._flat[:-1].reshape(config.codebooks, -1)
        self.codes[:, : self.prompt_frames] = self._prompt

    def _usable(self, request: Request, segment: int) -> Codes:
        if request.prompt is None:
            return np.zeros((len(self._delays), 0), np.int64)
        count = usable_prompt(
            request.prompt.shape[1], request.frames, segment, request.stride_frames
        )
        return request.prompt[:, request.prompt.shape[1] - count :]

    def choose_branches(self, conditions: Conditions) -> None:
        """How many rows of the cache it needs: guidance runs a conditioned and a null half, and
        between them one with the style alone where text and style are told apart.
        """
        params = self.request.params
        if conditions.style_prefix is not None and params.cfg_beta != 1:
            self.branches = 3
        else:
            self.branches = 1 if params.cfg == 1 else 2

    @property
    def finished(self) -> bool:
        return self.finish_reason is not None

    def finish(self, reason: str, error: ToccataError | None = None) -> None:
        self.finish_reason, self.error = reason, error

    def next_window(self) -> Window | None:
        """Move on to the next window, at its first step that is not all known; None at the end."""
        window = next(self._windows, None)
        if window is None:
            return None
        self.window = window
        frame = (
            np.arange(steps_of(window.frames, self._delays.tolist()))[:, None] - 1 - self._delays
        )
        inside = (frame >= 0) & (frame < window.frames)
        column = np.arange(len(self._delays)) * self.codes.shape[1] + window.offset
        self._places = np.where(inside, column + frame, self._flat.size - 1)  # [S, K] into _flat
        self._open = inside & (frame >= window.known)
        self._uniform = self._draw(window, frame)
        # Generation starts at the first step that holds a new frame, that of codebook 0.
        self.step = window.known + 1 + int(self._delays.min())
        return window

    def _draw(self, window: Window, frame: NDArray[np.int64]) -> NDArray[np.float64]:
        fresh = window.frames - window.known
        first = window.offset + window.known - self.prompt_frames
        drawn = uniforms(self.request.seed, first, fresh, len(self._delays))
        index = np.clip(frame - window.known, 0, fresh - 1)
        return drawn[index, np.arange(len(self._delays))]

    @property
    def known_steps(self) -> Codes:
        """The steps before the last known one, [K, S]: what is prefilled."""
        return self._flat[self._places[: self.step - 1]].T

    @property
    def input(self) -> Codes:
        """Codes [K] of the last known step: what the model reads next."""
        codes: Codes = self._flat[self._places[self.step - 1]]
        return codes

    @property
    def uniform(self) -> NDArray[np.float64]:
        """Random numbers [K] for the step to come."""
        return self._uniform[self.step]  # type: ignore[no-any-return]

    @property
    def steps(self) -> int:
        """Of the window, its first one included, which is given."""
        return len(self._places)

    @property
    def planned(self) -> tuple[Codes, NDArray[np.float64]]:
        """Of the window, [S, K] each: the known codes, -1 where one is sampled; random numbers."""
        return np.where(self._open, -1, self._flat[self._places]), self._uniform

    def advance(self, codes: Codes) -> bool:
        """Take codes [K] sampled for this step where they are new; True once the window is full."""
        asked = self._open[self.step]
        self._flat[self._places[self.step][asked]] = codes[asked]
        whole = self.step - int(self._delays.max())  # frames of which all codebooks are known
        known = max(self.window.known, min(whole, self.window.frames))
        self.ready = self.window.offset + known - self.prompt_frames
        self.step += 1
        return self.step == self.steps
