"""What an answer's header fields say of retries and limits, as each provider writes them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.routing.hints import NAMES, NONE, UNITS, WAIT_MAX, Hints, Limit, Quota, read_hints

NOW = 1_795_687_200.0
"""2026-11-26T10:00:00Z."""


def hints(**fields: str) -> Hints:
    """What fields say; underscores in names are hyphens."""
    return read_hints([(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()], NOW)


def test_an_answer_without_any_says_nothing() -> None:
    """The usual fields, a date among them, are passed over."""
    assert hints(date="Thu, 26 Nov 2026 10:00:00 GMT", content_type="application/json", server="x") == NONE
    assert read_hints([], NOW) is NONE


def test_openai() -> None:
    """Requests and tokens, with durations as resets."""
    assert hints(
        x_ratelimit_limit_requests="5000",
        x_ratelimit_limit_tokens="160000",
        x_ratelimit_remaining_requests="4999",
        x_ratelimit_remaining_tokens="159976",
        x_ratelimit_reset_requests="12ms",
        x_ratelimit_reset_tokens="6m0s",
    ).quotas == (Quota(Limit.REQUESTS, 4999.0, 5000.0, 0.012), Quota(Limit.TOKENS, 159976.0, 160000.0, 360.0))


def test_groq() -> None:
    """The same names; requests are of a day, and it says when to come back."""
    found = hints(
        retry_after="2",
        x_ratelimit_limit_requests="14400",
        x_ratelimit_limit_tokens="18000",
        x_ratelimit_remaining_requests="14370",
        x_ratelimit_remaining_tokens="0",
        x_ratelimit_reset_requests="2m59.56s",
        x_ratelimit_reset_tokens="7.66s",
    )
    assert found.retry_after == 2.0
    assert found.quotas == (
        Quota(Limit.REQUESTS, 14370.0, 14400.0, pytest.approx(179.56)),  # type: ignore[arg-type]
        Quota(Limit.TOKENS, 0.0, 18000.0, 7.66),
    )


def test_anthropic() -> None:
    """Four limits whose resets are times; a zone other than UTC is heeded, and the past is now."""
    found = hints(
        anthropic_ratelimit_requests_limit="50",
        anthropic_ratelimit_requests_remaining="49",
        anthropic_ratelimit_requests_reset="2026-11-26T10:00:01Z",
        anthropic_ratelimit_tokens_limit="90000",
        anthropic_ratelimit_tokens_remaining="0",
        anthropic_ratelimit_tokens_reset="2026-11-26T11:00:30+01:00",
        anthropic_ratelimit_input_tokens_limit="50000",
        anthropic_ratelimit_input_tokens_remaining="50000",
        anthropic_ratelimit_input_tokens_reset="2026-11-26T09:00:00Z",
        anthropic_ratelimit_output_tokens_limit="10000",
        anthropic_ratelimit_output_tokens_remaining="7000",
        anthropic_ratelimit_output_tokens_reset="2026-11-26T10:00:18",
    )
    assert found.quotas == (
        Quota(Limit.REQUESTS, 49.0, 50.0, 1.0),
        Quota(Limit.TOKENS, 0.0, 90000.0, 30.0),
        Quota(Limit.INPUT, 50000.0, 50000.0, 0.0),
        Quota(Limit.OUTPUT, 7000.0, 10000.0, 18.0),
    )


def test_cerebras() -> None:
    """Requests of a day and tokens of a minute, both with seconds."""
    assert hints(
        x_ratelimit_limit_requests_day="14400",
        x_ratelimit_limit_tokens_minute="60000",
        x_ratelimit_remaining_requests_day="14399",
        x_ratelimit_remaining_tokens_minute="59900",
        x_ratelimit_reset_requests_day="33011.38",
        x_ratelimit_reset_tokens_minute="11.38",
    ).quotas == (
        Quota(Limit.REQUESTS_DAY, 14399.0, 14400.0, 33011.38),
        Quota(Limit.TOKENS_MINUTE, 59900.0, 60000.0, 11.38),
    )


def test_mistral() -> None:
    """Its older and newer names; most of them tell no reset."""
    assert hints(
        ratelimitbysize_limit="500000", ratelimitbysize_remaining="499000", ratelimitbysize_reset="12"
    ).quotas == (Quota(Limit.TOKENS_MINUTE, 499000.0, 500000.0, 12.0),)
    assert hints(
        x_ratelimit_limit_req_minute="50",
        x_ratelimit_remaining_req_minute="49",
        x_ratelimit_limit_tokens_minute="50000",
        x_ratelimit_remaining_tokens_minute="47300",
        x_ratelimit_tokens_query_cost="1300",
    ).quotas == (
        Quota(Limit.REQUESTS_MINUTE, 49.0, 50.0, None),
        Quota(Limit.TOKENS_MINUTE, 47300.0, 50000.0, None),
    )
    assert hints(
        x_ratelimitbysize_limit_minute="500000",
        x_ratelimitbysize_remaining_minute="0",
        x_ratelimitbysize_remaining_month="9",
    ).quotas == (Quota(Limit.TOKENS_MINUTE, 0.0, 500000.0, None),)


def test_fireworks_and_together() -> None:
    """Tokens of prompt and answer apart; a plain limit with seconds."""
    assert hints(
        x_ratelimit_limit_tokens_prompt="60000",
        x_ratelimit_remaining_tokens_prompt="59990",
        x_ratelimit_limit_tokens_generated="6000",
        x_ratelimit_remaining_tokens_generated="0",
    ).quotas == (Quota(Limit.INPUT, 59990.0, 60000.0, None), Quota(Limit.OUTPUT, 0.0, 6000.0, None))
    assert hints(x_ratelimit_limit="10", x_ratelimit_remaining="9", x_ratelimit_reset="1").quotas == (
        Quota(Limit.WINDOW, 9.0, 10.0, 1.0),
    )


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("30", 30.0),
        ("0", 0.0),
        ("99999999", None),
        ("1795687260", 60.0),
        ("1795687260000", 60.0),
        ("1795680000", 0.0),
        ("-5", None),
        (" 6m0s ", 360.0),
        ("1h2m3.5s", 3723.5),
        ("6m", 360.0),
        ("2d", 172800.0),
        ("1795687260.5", 60.5),
        ("2026-11-26T10:01:00.500Z", 60.5),
        ("2027-11-26T10:00:00Z", None),
        ("soon", None),
        ("1e999", None),
        ("nan", None),
        ("", None),
    ],
)
def test_a_reset_is_told_apart_by_its_size(reset: str, seconds: float | None) -> None:
    """Seconds, durations, Unix seconds and milliseconds, times; what is no time or years away is not told."""
    (found,) = hints(x_ratelimit_limit="100", x_ratelimit_remaining="0", x_ratelimit_reset=reset).quotas
    assert found.reset == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("most", "remaining", "reset"),
    [("-1", "-1", "0"), ("0", "0", "0"), ("-1", "0", "5"), ("0", "0", "60"), ("", "", ""), ("10", "-1", "1")],
)
def test_azures_minus_one_is_not_told(most: str, remaining: str, reset: str) -> None:
    """Its Responses calls fill the fields with -1 and 0: nothing is learnt from that."""
    fields = {
        "x_ratelimit_limit_tokens": most,
        "x_ratelimit_remaining_tokens": remaining,
        "x_ratelimit_reset_tokens": reset,
    }
    assert hints(**fields).quotas == ()


def test_what_is_left_needs_a_limit_or_a_reset() -> None:
    """A remaining count alone says nothing that could be acted upon; with either it does."""
    assert hints(x_ratelimit_remaining="0").quotas == ()
    assert hints(x_ratelimit_remaining="0", x_ratelimit_reset="0").quotas == ()
    assert hints(x_ratelimit_remaining="0", x_ratelimit_reset="3").quotas == (Quota(Limit.WINDOW, 0.0, None, 3.0),)
    assert hints(x_ratelimit_limit="5", x_ratelimit_reset="3").quotas == ()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"ratelimit": '"default";r=50;t=30'}, Quota(Limit.WINDOW, 50.0, None, 30.0)),
        (
            {"ratelimit": '"a";r=50;t=30, "b";r=3;t=60', "ratelimit_policy": '"a";q=100;w=60,"b";q=10;w=3600'},
            Quota(Limit.WINDOW, 3.0, 10.0, 60.0),
        ),
        ({"ratelimit": "limit=100, remaining=50, reset=5"}, Quota(Limit.WINDOW, 50.0, 100.0, 5.0)),
        (
            {"ratelimit_limit": "100, 100;w=60", "ratelimit_remaining": "4", "ratelimit_reset": "9"},
            Quota(Limit.WINDOW, 4.0, 100.0, 9.0),
        ),
        ({"ratelimit": '"default";t=30'}, None),
        ({"ratelimit": ';;,"", r=1'}, None),
    ],
)
def test_the_drafts(fields: dict[str, str], expected: Quota | None) -> None:
    """Each of their three forms; of several items the one with the least left."""
    assert hints(**fields).quotas == (() if expected is None else (expected,))


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "0.25"}, 0.25),
        ({"retry_after_ms": "1500", "retry_after": "2"}, 1.5),
        ({"retry_after_ms": "soon", "retry_after": "2"}, 2.0),
        ({"retry_after": "-1"}, None),
        ({"retry_after": "inf"}, None),
        ({"retry_after": "9" * 500}, None),
        ({"retry_after": "Thu, 26 Nov 2026 10:01:00 GMT"}, 60.0),
        ({"retry_after": "Thursday, 26-Nov-26 10:01:00 GMT"}, 60.0),
        ({"retry_after": "Thu Nov 26 10:01:00 2026"}, 60.0),
        ({"retry_after": "Thu, 26 Nov 2026 10:01:00 GMT", "date": "Thu, 26 Nov 2026 10:00:50 GMT"}, 10.0),
        ({"retry_after": "Thu, 26 Nov 2026 09:00:00 GMT"}, 0.0),
        ({"retry_after": "Thu, 99 Nov 2026 10:01:00 GMT"}, None),
        ({"retry_after": "Fri, 26 Nov 2027 10:01:00 GMT"}, None),
        ({"retry_after": ""}, None),
    ],
)
def test_a_pause(fields: dict[str, str], seconds: float | None) -> None:
    """Milliseconds go before seconds; a date counts from the answer's own, so that clocks need not agree."""
    assert hints(**fields).retry_after == seconds


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("False ", False), ("maybe", None), ("", None)])
def test_advice(value: str, expected: bool | None) -> None:
    """`x-should-retry` is one of two words."""
    assert hints(x_should_retry=value).should_retry is expected


def test_the_first_of_a_repeated_field_counts() -> None:
    """As everywhere in the gateway."""
    assert read_hints([(b"retry-after", b"1"), (b"retry-after", b"9")], NOW).retry_after == 1.0


def test_names_are_what_is_read() -> None:
    """Each of them is lower-case, and the date is none, since it stands in every answer."""
    assert all(name == name.lower() for name in NAMES)
    assert b"date" not in NAMES
    assert {b"retry-after", b"x-ratelimit-remaining-tokens", b"anthropic-ratelimit-requests-reset"} <= NAMES


def test_every_limit_has_a_unit_and_only_windows_end() -> None:
    """What is counted is known for each; all but the plain window fill continuously."""
    assert set(UNITS) == set(Limit)
    assert [limit for limit in Limit if not Quota(limit, 0.0).refills] == [Limit.WINDOW]


@given(
    st.lists(
        st.tuples(
            st.one_of(st.sampled_from(sorted(NAMES)), st.binary(max_size=20)),
            st.one_of(
                st.binary(max_size=40),
                st.integers(-(10**20), 10**20).map(lambda number: str(number).encode()),
                st.floats().map(lambda number: str(number).encode()),
                st.text(alphabet='0123456789dhms.-+eTZ:;=", rtqw', max_size=40).map(str.encode),
            ),
        ),
        max_size=12,
    ),
    st.floats(0, 1e10),
)
def test_nothing_that_is_read_is_negative_or_infinite(pairs: list[tuple[bytes, bytes]], now: float) -> None:
    """Whatever bytes come: no error, and each number within its bounds."""
    found = read_hints(pairs, now)
    check(found)


def check(found: Hints) -> None:
    """What holds for any hints."""
    times = [found.retry_after, *(quota.reset for quota in found.quotas)]
    assert all(time is None or 0.0 <= time < WAIT_MAX for time in times)
    assert all(0.0 <= quota.remaining < math.inf for quota in found.quotas)
    assert all(quota.most is None or 0.0 < quota.most < math.inf for quota in found.quotas)
    assert len({quota.limit for quota in found.quotas}) == len(found.quotas)
