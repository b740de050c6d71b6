"""The figures that are read when Prometheus asks, and not counted as records come."""

from __future__ import annotations

from collections.abc import Mapping

from tokenway.control.workers import Workers
from tokenway.model.limits import Limit, Measure
from tokenway.model.money import NANO_PER_USD
from tokenway.telemetry import names
from tokenway.telemetry.metrics import Metrics


def set_gauges(metrics: Metrics, workers: Workers, limits: Mapping[str, Limit], backlog: int) -> None:
    """Sets what workers have told last, and how many bytes of their journals the ledger does not have yet."""
    for worker in workers.alive:
        gauges = worker.gauges
        if gauges is not None:
            number = str(worker.number)
            metrics.drop_gauges(worker=number)  # a limit that is gone has no lease to show
            metrics.set_gauge(names.OPEN_STREAMS, gauges.open_streams, worker=number)
            metrics.set_gauge(names.LOOP_LAG, gauges.loop_lag, worker=number)
            for name, left in gauges.leases.items():
                limit = limits.get(name)
                shown = left / NANO_PER_USD if limit is not None and limit.measure is Measure.USD else left
                metrics.set_gauge(names.LEASE_REMAINING, shown, limit=name, worker=number)
    breakers = workers.breakers()
    metrics.drop_gauges(names.BREAKER_STATE)
    for endpoint in metrics.endpoints:
        metrics.set_gauge(names.BREAKER_STATE, breakers.get(endpoint, 0), endpoint=endpoint)
    metrics.set_gauge(names.JOURNAL_BYTES, backlog)
