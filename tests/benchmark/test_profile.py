"""That the time is counted for whom it was spent."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.fakes import fake_model
from toccata.backends.torch_eager import TorchEager
from toccata.benchmark.step_parts import grouped, step_parts
from toccata.benchmark.stopwatch import Stopwatch


class Kitchen:
    def cook(self) -> str:
        return "soup of " + self.cut()

    def cut(self) -> str:
        return "leek"


def test_a_stage_within_another_counts_for_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 1.0, 4.0, 10.0])  # cook begins, cut begins, cut ends, cook ends
    monkeypatch.setattr("toccata.benchmark.stopwatch.time.perf_counter", lambda: next(ticks))
    cook = Kitchen.cook
    watch = Stopwatch(lambda: None)
    with watch.watching([("stove", Kitchen, "cook"), ("board", Kitchen, "cut")]):
        assert Kitchen().cook() == "soup of leek"
    assert watch.spent_s == {"stove": 7.0, "board": 3.0}
    assert Kitchen.cook is cook


def test_operations_are_grouped_by_their_names() -> None:
    spent = {
        "aten::_weight_int8pack_mm": 5.0,
        "aten::addmm": 1.0,
        "aten::baddbmm": 1.0,
        "aten::_softmax": 1.0,
        "aten::gelu": 2.0,
    }
    assert grouped(spent) == {"attention": 0.2, "matrices": 0.6, "rest": 0.2}


class Counting(TorchEager):
    """Says its own parts: a step is a second of matrices."""

    steps = 0

    def step(self, *given: object) -> object:  # type: ignore[override]
        self.steps += 1
        return super().step(*given)  # type: ignore[arg-type]

    def parts_s(self) -> Mapping[str, float]:
        return {"matrices": float(self.steps)}


def test_a_backend_may_say_its_own_parts() -> None:
    model = fake_model()
    parts = step_parts(Counting(model.lm), model)
    assert parts["matrices"] == 1000
    assert set(parts) == {"matrices", "rest"}
    assert set(step_parts(TorchEager(model.lm), model)) == {"attention", "matrices", "rest"}
