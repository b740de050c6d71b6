"""Money, times and names as they are read and shown."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tokenway.control.api.problems import Problem
from tokenway.control.api.types import Body, Labels, Money, Time, Version, Versioned, moment_of, nano, shown_time, usd


class Sample(Body):
    """One of each."""

    money: Money = "0"
    time: Time = "2026-01-31T12:00:00Z"
    version: Version = 0
    labels: Labels | None = None


@given(amount=st.integers(0, 999_999_999_999_999_999))
def test_money_goes_there_and_back(amount: int) -> None:
    """To the nano-dollar, without a float."""
    text = usd(amount)
    assert nano(Sample(money=text).money) == amount
    assert re.fullmatch(r"[0-9]+(\.[0-9]{1,9})?", text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1e3",
        "1E3",
        "+1",
        "-1",
        "1,5",
        "1.",
        ".5",
        "01",
        "1.0000000001",
        "1000000000",
        "NaN",
        "inf",
        " 1",
        "1\n",
        "١",
    ],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    """Strictly: nothing is guessed, rounded or cut."""
    with pytest.raises(ValidationError):
        Sample(money=text)


@pytest.mark.parametrize("value", [1, 1.5, True, None, ["1"]])
def test_money_is_a_text(value: object) -> None:
    """A JSON number has been a float somewhere."""
    with pytest.raises(ValidationError):
        Sample.model_validate({"money": value})


@given(moment=st.integers(0, 7_258_118_400_000))
def test_times_go_there_and_back(moment: int) -> None:
    """To the millisecond."""
    assert round(moment_of(shown_time(moment / 1000)) * 1000) == moment


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-02-30T00:00:00Z",
        "2026-01-31 12:00:00Z",
        "2026-13-01T00:00:00Z",
        "now",
        "1",
        "",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """Without a zone it is none."""
    with pytest.raises(ValidationError):
        Sample(time=text)


def test_zones_are_known() -> None:
    """The same moment, written elsewhere."""
    assert (
        moment_of("2026-01-31T12:00:00Z") == moment_of("2026-01-31T14:30:00+02:30") == moment_of("2026-01-31t12:00:00z")
    )


def test_whole_numbers() -> None:
    """JSON knows one kind of number: 1.0 is whole, 1.5, "1" and true are not."""
    assert Sample.model_validate({"version": 1.0}).version == 1
    for value in (1.5, "1", True, -1, 2**31):
        with pytest.raises(ValidationError):
            Sample.model_validate({"version": value})


def test_the_version_in_the_header_must_be_that_of_the_body() -> None:
    """Where both are said."""
    body = Versioned(version=3)
    assert body.agreed(None) == body.agreed('"3"') == body.agreed("3") == 3
    with pytest.raises(Problem):
        body.agreed('"4"')
