"""Samples: what is told of an attempt."""

from __future__ import annotations

import msgspec
import pytest

from tokenway.model.probe import asked_as
from tokenway.model.sample import Outcome, Sample


def test_speed_counts_the_tokens_after_the_first() -> None:
    """N - 1 tokens in the time from the first delta to the last."""
    assert Sample("p/m", "m", 1.0, Outcome.ANSWERED, span=2.0, tokens=41).speed == pytest.approx(20.0)


@pytest.mark.parametrize(("tokens", "span"), [(0, 1.0), (1, 1.0), (40, 0.0)])
def test_no_speed_without_a_span(tokens: int, span: float) -> None:
    """One token or no time give no speed."""
    assert Sample("p/m", "m", 1.0, Outcome.ANSWERED, span=span, tokens=tokens).speed == 0.0


def test_it_survives_the_wire() -> None:
    """Workers tell each other samples."""
    sample = Sample("p/m", "m", 1.0, Outcome.FAILED, took=3.0, keys=(1, 2), gaps=(0, 4))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(sample), type=Sample) == sample


def test_a_probe_is_known_by_its_model() -> None:
    """No caller's model is called so."""
    assert Sample("p/m", asked_as("m"), 1.0, Outcome.ANSWERED).is_probe
    assert not Sample("p/m", "m", 1.0, Outcome.ANSWERED).is_probe
