"""Questions to the ledger and their answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.records import NOON, STREAMED, USAGE, line, reserved, settled
from tokenway.metering.ledger import Record, Settlement
from tokenway.metering.stamps import Stamps
from tokenway.model.usage import Usage
from tokenway.store.base import Progress, StoreError
from tokenway.store.open import Store
from tokenway.store.reports import ReportFilter
from tokenway.store.usage import KeyUsage, Sums, UsageRow

DAY = 86_400


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    """A fresh store; its clock says Thursday noon, 1 January 2026."""
    return open_store(clock=lambda: NOON)


def ingest(store: Store, *records: Record) -> None:
    """Puts records into the ledger."""
    store.ledger.commit(Progress("j", "w", "o", 1), records)


def streamed(seconds: float) -> Stamps:
    """A stream whose first delta came after `seconds`, and the last a second later."""
    return Stamps(received=1.0, first_delta=1.0 + seconds, last_delta=2.0 + seconds, end=2.1 + seconds)


def test_an_empty_ledger_has_no_rows(store: Store) -> None:
    """No usage is an empty report, whatever it is grouped by."""
    assert store.usage.report() == []
    assert store.usage.report(("run", "day"), since=0.0) == []


def test_usage_is_summed_by_model(store: Store) -> None:
    """Requests, tokens by bucket, money and mean speed, the most expensive model first."""
    ingest(
        store,
        settled(1, stamps=streamed(0.1)),
        settled(2, stamps=streamed(0.6), slow=True),
        settled(3, stamps=streamed(0.2)),
        settled(4, model="big", charged=9_000, lines=(line(cost=8_000),)),
    )
    big, mock = store.usage.report()

    assert (big.group, big.charged, big.cost) == (("big",), 9_000, 8_000)
    assert (mock.group, mock.requests, mock.attempts, mock.slow) == (("mock",), 3, 3, 1)
    assert mock.usage == Usage(input_uncached=300, cache_read=60, output_text=153, reasoning=30, requests=3)
    assert (mock.charged, mock.cost, mock.expired, mock.unmetered) == (3 * 1_234, 3 * 1_234, 0, 0)
    assert mock.ttft == pytest.approx(0.3, abs=1e-6)
    assert mock.output_speed == pytest.approx(60.0, abs=1e-3)


def test_by_endpoint_tokens_stand_where_they_were_made(store: Store) -> None:
    """A failed attempt's cost is its endpoint's, the request is the endpoint's that answered."""
    lines = (line(attempt=1, endpoint="a/m", settlement=Settlement.ABSORBED, cost=70), line(attempt=2, cost=50))
    ingest(store, settled(1, lines=lines, charged=50))
    answered, failed = store.usage.report(("endpoint",))

    assert (answered.group, answered.requests, answered.attempts) == (("lab/mock",), 1, 1)
    assert (answered.charged, answered.cost) == (50, 50)
    assert (failed.group, failed.requests, failed.attempts) == (("a/m",), 0, 1)
    assert (failed.charged, failed.cost) == (0, 70)
    (both,) = store.usage.report(("model",))
    assert (both.requests, both.attempts, both.charged, both.cost) == (1, 2, 50, 120)


def test_several_dimensions_and_a_start(store: Store) -> None:
    """Groups are named in the order asked for; days are UTC; what is older is left out."""
    ingest(
        store,
        settled(1, at=NOON - DAY),
        settled(2, run="run-7"),
        settled(3, at=NOON + DAY / 2, key="key_b", charged=1),
    )

    assert [row.group for row in store.usage.report(("day", "key"), since=NOON - 1)] == [
        ("2026-01-01", "key_a"),
        ("2026-01-02", "key_b"),
    ]
    assert {row.group: row.requests for row in store.usage.report(("run",))} == {("run-7",): 1, ("",): 2}
    assert [row.requests for row in store.usage.report((), since=NOON - 1)] == [2]
    assert [row.group for row in store.usage.report(("project",))] == [("default",)]


def test_what_gave_no_usage_and_what_expired_is_shown(store: Store) -> None:
    """Unmetered attempts and expired exchanges are counted, and cost nothing."""
    ingest(store, settled(1, charged=0, lines=(line(usage=None, cost=None),)), reserved(2))
    store.ledger.expire("o")
    (row,) = store.usage.report(("key",))

    assert (row.requests, row.expired, row.attempts, row.unmetered) == (2, 1, 1, 1)
    assert (row.charged, row.cost, row.usage) == (0, 0, Usage())


@pytest.mark.parametrize(
    ("settlement", "count"),
    [
        (Settlement.DELIVERED, 1),
        (Settlement.UPSTREAM_BILLED, 1),
        (Settlement.ABSORBED, 0),
        (Settlement.RELEASED, 0),
    ],
)
def test_an_attempt_that_nobody_is_billed_for_is_not_unmetered(
    store: Store, settlement: Settlement, count: int
) -> None:
    """A refused connection or an answer of 401, 429 or 500 has no usage to miss; it is an attempt all the same."""
    ingest(
        store, settled(1, settlement=settlement, charged=0, lines=(line(settlement=settlement, usage=None, cost=None),))
    )
    (row,) = store.usage.report(("endpoint",))

    assert (row.attempts, row.unmetered) == (1, count)


def test_usage_without_a_price_is_counted(store: Store) -> None:
    """In the exchange's own row and in an attempt's; nothing unknown passes for free of charge."""
    whole, apart = USAGE, Usage(input_uncached=1, output_text=1, searches=1)
    ingest(
        store,
        settled(1),
        *(settled(n, charged=0, lines=(line(usage=each, cost=None),)) for n, each in ((2, whole), (3, apart))),
    )
    (row,) = store.usage.report()
    assert (row.attempts, row.unpriced, row.unmetered) == (3, 2, 0)


def test_absurd_usage_is_in_no_sum(store: Store) -> None:
    """However large it is, it neither counts nor overflows."""
    absurd = line(usage=Usage(2**63 - 1), cost=None, absurd=True)
    ingest(store, settled(1), *(settled(number, charged=0, lines=(absurd,)) for number in range(2, 5)))
    (row,) = store.usage.report()

    assert (row.requests, row.attempts, row.usage) == (4, 4, USAGE)


def test_an_unknown_dimension_is_refused(store: Store) -> None:
    """The message lists what there is."""
    with pytest.raises(StoreError, match="cannot group by 'colour'; choose from model, key"):
        store.usage.report(("model", "colour"))


def test_the_report_equals_the_sum_of_the_records(store: Store) -> None:
    """However it is grouped, the groups add up to the same money and tokens."""
    records = [
        settled(number, model=f"m{number % 3}", key=f"k{number % 4}", charged=number, at=NOON + number * 5_000)
        for number in range(60)
    ]
    ingest(store, *records)

    for by in ((), ("model",), ("key", "day"), ("endpoint", "run"), ("model", "key", "project", "run", "day")):
        rows = store.usage.report(by)
        assert sum(row.charged for row in rows) == sum(range(60)), by
        assert sum(row.usage.input_uncached for row in rows) == 6_000, by
        assert sum(row.requests for row in rows) == 60, by


def test_a_generation_has_the_known_fields(store: Store) -> None:
    """Money in dollars, durations in milliseconds, the start in RFC 3339, tokens as the provider counted them."""
    ingest(store, settled(1, at=NOON, run="run-7", stamps=STREAMED))
    found = store.usage.generation("gen-000001", "key_a")

    assert found is not None
    assert (found["id"], found["model"], found["provider_name"]) == ("gen-000001", "mock", "lab")
    assert found["created_at"] == "2026-01-01T11:59:58.700Z"
    assert (found["latency"], found["generation_time"]) == (250.0, 1050.0)
    assert (found["tokens_prompt"], found["tokens_completion"]) == (120, 61)
    assert (found["native_tokens_cached"], found["native_tokens_reasoning"]) == (20, 10)
    assert found["total_cost"] == found["usage"] == found["upstream_inference_cost"] == 0.000001234
    assert (found["settlement"], found["finish_reason"], found["status"]) == ("delivered", "stop", 200)
    assert (found["streamed"], found["cancelled"], found["session_id"]) == (True, False, "run-7")
    assert found["provider_responses"] == [
        {"provider_name": "lab", "endpoint": "lab/mock", "status": 200, "settlement": "delivered", "fault": None}
    ]


def test_a_generation_tells_its_pieces(store: Store) -> None:
    """What was counted and is no token; nothing where nothing was counted."""
    usage = Usage(images=2, sound_ms=1_500, characters=12, searches=3)
    ingest(store, settled(1, lines=(line(usage=usage),)), settled(2), settled(3, lines=(line(usage=None, cost=None),)))
    found = [store.usage.generation(f"gen-00000{number}", "key_a") for number in (1, 2, 3)]
    assert [each and (each["num_media_completion"], each["pieces"]) for each in found] == [
        (2, {"images": 2, "sound_ms": 1_500, "characters": 12, "searches": 3}),
        (None, {}),
        (None, None),
    ]


def test_a_generation_tells_how_it_was_served(store: Store) -> None:
    """In the class of service that the answer named; nothing for the usual one."""
    ingest(store, settled(1, lines=(line(service="priority"),)), settled(2))
    found = [store.usage.generation(f"gen-00000{number}", "key_a") for number in (1, 2)]
    assert [each and (each["service_tier"], each["tokens_prompt"]) for each in found] == [
        ("priority", 120),
        (None, 120),
    ]


def test_a_generation_belongs_to_its_key(store: Store) -> None:
    """Another key cannot see it, and neither can anyone see what is not settled."""
    ingest(store, settled(1), reserved(2))

    assert store.usage.generation("gen-000001", "key_b") is None
    assert store.usage.generation("gen-000002", "key_a") is None
    assert store.usage.generation("gen-000009", "key_a") is None


def test_a_generation_invents_nothing(store: Store) -> None:
    """Without usage, a stream or a price the fields are null, not zero."""
    attempt = line(usage=None, cost=None)
    ingest(store, settled(1, charged=0, lines=(attempt,), stream=False, stamps=Stamps(received=1.0, end=1.5)))
    found = store.usage.generation("gen-000001", "key_a")

    assert found is not None
    assert (found["tokens_prompt"], found["tokens_completion"], found["native_tokens_reasoning"]) == (None, None, None)
    assert (found["latency"], found["generation_time"], found["upstream_inference_cost"]) == (500.0, 500.0, None)
    assert found["total_cost"] == 0


def test_absurd_usage_is_not_shown_as_tokens(store: Store) -> None:
    """Usage that was not believed is not repeated as a fact."""
    ingest(store, settled(1, charged=0, lines=(line(absurd=True, cost=None),)))
    found = store.usage.generation("gen-000001", "key_a")

    assert found is not None
    assert found["tokens_completion"] is None


def test_failed_attempts_are_listed_and_an_aborted_answer_is_cancelled(store: Store) -> None:
    """The provider's bill includes attempts that we pay for; the caller's does not."""
    lines = (
        line(attempt=1, endpoint="a/m", settlement=Settlement.ABSORBED, cost=70, fault="cut", status=200),
        line(attempt=2, settlement=Settlement.UPSTREAM_BILLED, cost=50),
    )
    ingest(store, settled(1, settlement=Settlement.UPSTREAM_BILLED, status=499, lines=lines, charged=50))
    found = store.usage.generation("gen-000001", "key_a")

    assert found is not None
    assert found["cancelled"] is True
    assert (found["total_cost"], found["upstream_inference_cost"]) == (50e-9, 120e-9)
    assert [answer["fault"] for answer in found["provider_responses"]] == ["cut", None]


def test_an_expired_generation_says_so(store: Store) -> None:
    """A crash is shown to the key that was hit by it."""
    ingest(store, reserved(1))
    store.ledger.expire("o")
    found = store.usage.generation("gen-000001", "key_a")

    assert found is not None
    assert (found["settlement"], found["provider_responses"], found["total_cost"]) == ("expired", [], 0)


def test_a_key_has_spent_by_day_week_and_month(store: Store) -> None:
    """The current UTC day, the week from Monday, the calendar month, and all there ever was."""
    thursday_noon = NOON
    for number, days in enumerate((0, 2, 5, 40)):
        ingest(store, settled(number, at=thursday_noon - days * DAY, charged=10**number, withheld=2 * 10**number))
    ingest(store, settled(9, key="key_b", charged=5))

    withheld = Sums(total=2_222, day=2, week=22, month=2)
    assert store.usage.key_usage("key_a") == KeyUsage(
        requests=4, total=1_111, day=1, week=11, month=1, last_used=thursday_noon, withheld=withheld
    )
    assert store.usage.key_usage("nobody") == KeyUsage()
    assert {key: used.total for key, used in store.usage.spent().items()} == {"key_a": 1_111, "key_b": 5}


def test_speed_is_told_the_same_in_every_report(store: Store) -> None:
    """By the roll-ups, by the entries, and by what the control API reads: a mean by time, as runs have it."""
    quick = Stamps(received=1.0, first_delta=1.125, last_delta=1.375, end=1.5)
    ingest(store, settled(1, run="r", stamps=streamed(0.375)), settled(2, run="r", stamps=quick))
    (whole,), (entries,) = store.usage.report(()), store.usage.report(("run",))
    (run,) = store.runs.page().runs
    (row,) = store.reports.usage((), ReportFilter())

    assert whole.ttft == entries.ttft == run.figures.ttft == 0.25
    assert whole.output_speed == entries.output_speed == run.figures.velocity == 96.0
    assert (row.sums["ttft_us"], row.sums["first_tokens"]) == (500_000, 2)
    assert (row.sums["timed_tokens"], row.sums["timed_us"]) == (120, 1_250_000)


def test_rows_without_measurements_have_no_speed(store: Store) -> None:
    """A mean of nothing is None."""
    ingest(store, settled(1, stamps=Stamps(received=1.0, end=2.0)))

    assert [(row.ttft, row.output_speed) for row in store.usage.report()] == [(None, None)]
    assert UsageRow(("x",)).ttft is None
