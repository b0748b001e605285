"""Prometheus metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from toccata.server.predictions.lifecycle import Predictions
from toccata.server.storage.repository import Prediction

SECONDS = (0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600)


class Metrics:
    """The metrics of one server.

    Args:
        registry: Its own registry, so that two servers in one process are counted apart.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._ended = Counter(
            "toccata_predictions_total", "Predictions that ended.", ["status"], registry=registry
        )
        self._took = Histogram(
            "toccata_predict_seconds", "From start to end.", buckets=SECONDS, registry=registry
        )
        self._queued = Histogram(
            "toccata_queue_seconds", "From creation to start.", buckets=SECONDS, registry=registry
        )
        self._now = Gauge(
            "toccata_predictions_now", "Predictions that wait or run.", ["state"],
            registry=registry,
        )  # fmt: skip

    def watch(self, predictions: Predictions) -> None:
        """Report the numbers of waiting and active predictions from now on."""
        for state in ("waiting", "active"):
            self._now.labels(state).set_function(
                lambda state=state: float(predictions.counts()[state])  # type: ignore[misc]
            )

    def count(self, prediction: Prediction, event: str) -> None:
        """Count a prediction and its times, if the event is its end."""
        if event != "completed":
            return
        self._ended.labels(prediction.status).inc()
        if "predict_time" in prediction.metrics:
            self._took.observe(prediction.metrics["predict_time"])
            self._queued.observe(prediction.metrics["queue_time"])
