"""The work of `tokenway grade compare`: endpoints in, a report and a picture out. Needs the extra `plan`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from tokenway.cli.asking import Endpoint, Pair, ask_both
from tokenway.cli.client import Gateway
from tokenway.cli.connection import connect
from tokenway.cli.errors import BadUsage
from tokenway.cli.grading import Progress
from tokenway.model.secret import Secret
from tokenway.planner.grade.agreement import ANSWER_MARGIN, Comparison, compare, judge
from tokenway.planner.grade.pictures import Bounded, comparison_picture
from tokenway.planner.grade.prompts import chosen, shipped_prompts
from tokenway.planner.grade.reports import comparison_report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tokenway.cli.connection import Connection
    from tokenway.cli.grade import Asking
    from tokenway.planner.report import Report

_SEED: Final = 20261126
"""Of the order of requests and of the resampling."""


class Compared(NamedTuple):
    """A report and what its picture shows."""

    report: Report
    found: Comparison
    margin: float

    @property
    def is_different(self) -> bool:
        """Whether an alarm is to be raised."""
        return self.report.figures["verdict"] == "different"

    def draw(self) -> Figure:
        """The picture."""
        named = {
            "log-probabilities (nats)": (self.found.drift, self.margin),
            "answers (share of length)": (self.found.answers, ANSWER_MARGIN),
        }
        excesses = {name: Bounded(found.more, margin) for name, (found, margin) in named.items() if found is not None}
        return comparison_picture(self.found.shares, excesses)


def endpoint_of(name: str, key: str | None, connection: Connection | None) -> Endpoint:
    """`MODEL@URL`, or a model of the gateway. Raises BadUsage where there is no model in it."""
    model, at, address = name.partition("@http")
    if not model:
        raise BadUsage(f"{name!r} names no model; write MODEL@URL, or a model of the gateway.")
    if at:
        return Endpoint(Gateway(f"http{address}", Secret(key) if key else None), model)
    gateway = connect(connection)
    return Endpoint(Gateway(gateway.base_url, Secret(key)) if key else gateway, model)


def run(pair: Pair, plan: Asking) -> Compared:
    """Asks both and compares. Raises CommandError where one does not answer, PlanError where nothing is left."""
    prompts = chosen(shipped_prompts(), plan.prompts)
    chance = np.random.default_rng(_SEED)
    with Progress() as tell:
        asked = ask_both(
            pair,
            prompts,
            plan.rounds,
            plan.at_once,
            chance,
            lambda done, of: tell(f"{done} of {of} answers"),
        )
    margin = plan.margin
    found = compare(asked, prompts.tools, chance)
    report = comparison_report(pair.a.title, pair.b.title, found, judge(found, margin), margin)
    return Compared(report, found, margin)
