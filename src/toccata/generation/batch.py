"""Several requests in one batch, which are resolved and generated together."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, TypeVar

from toccata.errors import (
    CancelledError,
    ClosedError,
    InputError,
    InputErrors,
    ToccataError,
)
from toccata.generation.clip import Clip
from toccata.generation.pipeline import Cancel, OnProgress, Pipeline, Tick, no_tick, ticker
from toccata.generation.request import GenerationRequest, check_item, listed
from toccata.generation.running import RunningRequest

T = TypeVar("T")
AnyRequest = GenerationRequest | str | Mapping[str, Any]
Requests = Sequence[AnyRequest]


def resolve_all(
    requests: Requests, resolve: Callable[[AnyRequest], GenerationRequest]
) -> list[GenerationRequest]:
    """Resolve every request, or raise every problem of all of them.

    Raises:
        InputErrors: With all problems; the field of each is "wanted[INDEX].FIELD".
    """
    resolved: list[GenerationRequest] = []
    problems: list[InputError] = []
    for index, one in enumerate(listed(requests)):
        try:
            check_item(index, one)
            with of_item(index):
                resolved.append(resolve(one))
        except InputErrors as error:
            problems += error.problems
        except InputError as error:
            problems.append(error)
    if problems:
        raise InputErrors(problems)
    return resolved


class BatchRun:
    """Generates the clips of resolved requests together.

    Args:
        pipeline: The stages.
        fail_at_once: Whether the first request that fails ends all others.
        is_closed: Returns whether the model was closed meanwhile.
    """

    def __init__(
        self, pipeline: Pipeline, *, fail_at_once: bool, is_closed: Callable[[], bool]
    ) -> None:
        self._pipeline = pipeline
        self._fail_at_once = fail_at_once
        self._is_closed = is_closed

    def clips(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: OnProgress | None,
        cancel: Cancel | None,
    ) -> Generator[Clip | ToccataError, None, None]:
        """Yield the clip or the error of each request, in the order of the requests."""
        started: list[RunningRequest | ToccataError] = []
        running: list[RunningRequest] = []
        tick = ticker(running, on_progress, cancel)
        with ExitStack() as ending:
            for index, request in enumerate(requests):
                one = _result(partial(self._pipeline.start, request))
                started.append(one)
                if isinstance(one, RunningRequest):
                    running.append(one)
                    ending.callback(one.end)
                elif self._fail_at_once:
                    with of_item(index):
                        raise one
            yield from self._finished(started, tick)

    def _finished(
        self, started: Sequence[RunningRequest | ToccataError], tick: Tick
    ) -> Generator[Clip | ToccataError, None, None]:
        stop: BaseException | None = None
        for one in started:
            try:
                result = self._result(one, tick) if stop is None else self._finished_before(one)
            except (KeyboardInterrupt, CancelledError) as error:
                if self._fail_at_once or stop is not None or self._is_closed():
                    raise
                stop, result = error, self._finished_before(one)
            yield result
        if stop is not None:
            raise stop

    def _result(self, one: RunningRequest | ToccataError, tick: Tick) -> Clip | ToccataError:
        if isinstance(one, ToccataError):
            return one
        return _result(partial(self._pipeline.finish, one, tick))

    def _finished_before(self, one: RunningRequest | ToccataError) -> Clip | ToccataError:
        """Return the clip of a request if the engine has finished it before the stop."""
        if isinstance(one, RunningRequest) and not one.is_known:
            return CancelledError("stopped before it was made")
        return self._result(one, no_tick)


@contextmanager
def of_item(index: int) -> Iterator[None]:
    """Add the index of an item of a batch to the errors of the block."""
    try:
        yield
    except CancelledError:
        raise
    except InputError as error:
        for problem in error.problems if isinstance(error, InputErrors) else (error,):
            problem.field = f"wanted[{index}].{problem.field}"
            problem.args = (f"wanted[{index}].{problem}",)
        raise
    except ToccataError as error:
        error.args = (f"wanted[{index}]: {error}",)
        raise


def _result(make: Callable[[], T]) -> T | ToccataError:
    """Return the result of `make`, or the error if it concerns only this item of a batch."""
    try:
        return make()
    except (CancelledError, ClosedError):
        raise
    except ToccataError as error:
        return error
