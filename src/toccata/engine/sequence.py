"""A request of the engine, and its codes and position while it runs (NumPy only, without torch)."""

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
    """The codes to generate, and from which conditions.

    Attributes:
        conditions: Called once per window with the frame at which it starts, counted from the
            start of the codes, prompt included; returns the conditions of that window.
        frames: How many new frames are generated, at least 1.
        params: The sampling parameters.
        seed: The seed of the random numbers.
        stride_frames: By how many frames the window moves if the clip is longer than a segment.
        prompt: Codes [K, P] to continue.
    """

    conditions: Callable[[int], Conditions]
    frames: int
    params: SamplingParams
    seed: int
    stride_frames: int
    prompt: Codes | None = None


class Sequence:
    """A request's codes, window, position and end; the handle that `Engine.submit` returns.

    Attributes:
        codes: [K, prompt + new] int64. A frame is final, and safe to read from any thread, once
            `ready` counts it.
        ready: How many new frames are final.
        prompt_frames: How many frames of the prompt are used.
        finish_reason: "done", "cancelled" or "failed"; None while the request waits or runs.
        error: Why the request failed.
    """

    def __init__(self, request: Request, config: LMConfig, segment_frames: int) -> None:
        self.request = request
        self.slot = -1
        self.branches = 1  # CFG branches, one row of the cache each
        self.prefix = 0  # positions of prefix conditioning before the first step
        self.finish_reason: str | None = None  # "done", "cancelled" or "failed"
        self.error: ToccataError | None = None
        self.ready = 0
        self._delays = np.array(config.delays)
        self._prompt = self._usable(request, segment_frames)
        self.prompt_frames = self._prompt.shape[1]
        self._windows: Iterator[Window] = plan(
            self.prompt_frames, request.frames, segment_frames, request.stride_frames
        )
        # The last entry is the special code, where the delay pattern has no frame.
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
        """Set the number of CFG branches, one row of the cache each.

        Guidance needs a conditional and an unconditional branch; double guidance of text and style
        also one with the style alone (Rouard et al. 2024, section 3.3).
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
        """Move to the next window, at its first step with a code to sample; None at the end."""
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
        # Generation starts at the first step with a new frame: the one of the least delay.
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
        """The codes [K, S] of the steps before the last known one, which are prefilled."""
        return self._flat[self._places[: self.step - 1]].T

    @property
    def input(self) -> Codes:
        """The codes [K] of the last known step, the next input of the model."""
        codes: Codes = self._flat[self._places[self.step - 1]]
        return codes

    @property
    def uniform(self) -> NDArray[np.float64]:
        """The random numbers [K] for the next step."""
        return self._uniform[self.step]  # type: ignore[no-any-return]

    @property
    def steps(self) -> int:
        """The number of steps in the window, including the first one, which is not sampled."""
        return len(self._places)

    @property
    def planned(self) -> tuple[Codes, NDArray[np.float64]]:
        """The known codes of the window, -1 where one is sampled, and its random numbers.

        Both are [S, K].
        """
        return np.where(self._open, -1, self._flat[self._places]), self._uniform

    def advance(self, codes: Codes) -> bool:
        """Store codes [K] that were sampled for this step, except where codes are known already.

        Returns:
            Whether the window is full.
        """
        sampled = self._open[self.step]
        self._flat[self._places[self.step][sampled]] = codes[sampled]
        whole = self.step - int(self._delays.max())  # frames of which all codebooks are known
        known = max(self.window.known, min(whole, self.window.frames))
        self.ready = self.window.offset + known - self.prompt_frames
        self.step += 1
        return self.step == self.steps
