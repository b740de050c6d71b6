"""What an exchange cost and how fast it was, against sums done by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec
import pytest

from tokenway.edge.doors import CHAT, Door
from tokenway.edge.receipt import make_receipt, tokenway_member, usage_members
from tokenway.exchange.commands import Settle, Share
from tokenway.metering.ledger import Settlement, Trace
from tokenway.metering.stamps import Stamps
from tokenway.model.catalog import Endpoint, Hours, Price, Service
from tokenway.model.money import NanoUsd, Rate
from tokenway.model.snapshot import Principal
from tokenway.model.usage import Usage

DELIVERED = Settlement.DELIVERED
ABSORBED = Settlement.ABSORBED
BILLED = Settlement.UPSTREAM_BILLED
ALICE = Principal("k1", "alice", "maps")
PRICED = Endpoint("p", "priced", Price(Rate(1_000_000_000), Rate(3_000_000_000)))
"""1000 nano-dollars a token in, 3000 a token out."""
UNPRICED = Endpoint("p", "unpriced")
USAGE = Usage(input_uncached=10, output_text=5)
"""25 000 nano-dollars at `PRICED`: 10 * 1000 in, 5 * 3000 out."""

WRITER = Trace("writer", "planner")


@dataclass
class Story:
    """An exchange that began at 100 s, had its first text at 101 s, its last at 103 s and ended at 104 s."""

    times: Stamps
    id: str = "gen-1"
    principal: Principal = ALICE
    counted: str = "m"
    min_tps: float = 2.0
    door: Door = CHAT
    is_stream: bool = True
    run: str = "nightly"
    trace: Trace | None = WRITER
    overhead: float = 0.0005
    finish_reason: str = "stop"
    gaps: tuple[int, ...] = (1, 2)
    service: str = ""
    admitted_at: float = 1_699_999_990.0
    reserved: int = 10**9

    def counted_at(self, endpoint: Endpoint) -> str:
        """Only what has a price is its own model's."""
        return "other" if endpoint is UNPRICED else self.counted

    def service_of(self, attempt: int) -> str:
        """The first attempt's answer says it; others say nothing."""
        return self.service if attempt == 1 else ""


def story() -> Story:
    """One with times of its own."""
    return Story(Stamps(100.0, 100.1, 100.2, 100.9, 101.0, 102.0, 103.0, 104.0))


def served(service: str) -> Story:
    """One whose first attempt was served in a class of service."""
    return replace(story(), service=service)


def settled(*shares: Share, winner: int = 1, settlement: Settlement = DELIVERED) -> Settle:
    """What the machine orders at the end."""
    return Settle(settlement, shares, winner, 200)


def test_a_delivered_answer_costs_what_its_tokens_cost() -> None:
    """The key pays it, and the parts for input and output add up."""
    receipt = make_receipt(settled(Share(1, PRICED, DELIVERED, USAGE, status=200)), story(), 1_700_000_000.0)
    assert (receipt.cost, receipt.cost_in, receipt.cost_out) == (25_000, 10_000, 15_000)
    record = receipt.record
    assert (record.charged, record.endpoint, record.at) == (25_000, "p/priced", 1_700_000_000.0)
    assert (record.key, record.project, record.run, record.operation) == ("k1", "maps", "nightly", "chat")
    assert record.trace is WRITER
    assert (record.lines[0].cost, record.lines[0].usage, record.lines[0].status) == (25_000, USAGE, 200)
    assert usage_members(receipt) == (
        b'"cost":0.000025000,"cost_details":{"upstream_inference_cost":0.000025000,'
        b'"upstream_inference_prompt_cost":0.000010000,"upstream_inference_completions_cost":0.000015000}'
    )


def test_the_parts_add_up_where_each_would_round() -> None:
    """Half a nano-dollar in and half out are one together, and not two."""
    cheap = Endpoint("p", "cheap", Price(Rate(500_000), Rate(500_000)))
    receipt = make_receipt(settled(Share(1, cheap, DELIVERED, Usage(1, output_text=1))), story(), 0.0)
    assert (receipt.cost, receipt.cost_in, receipt.cost_out) == (1, 1, 0)
    assert receipt.record.charged == 1


def test_a_price_of_dollars_is_written_with_all_its_digits() -> None:
    """Whole dollars, nine digits behind the point, and the price of the call itself counted as input."""
    dear = Endpoint("p", "dear", Price(Rate(0), Rate(10**15), request=NanoUsd(2_000_000_001)))
    receipt = make_receipt(settled(Share(1, dear, DELIVERED, Usage(output_text=1))), story(), 0.0)
    assert (receipt.cost_in, receipt.cost_out) == (2_000_000_001, 1_000_000_000)
    members = msgspec.json.decode(b"{" + usage_members(receipt) + b"}")
    assert members["cost"] == 3.000000001
    assert b'"cost":3.000000001,' in usage_members(receipt)


@pytest.mark.parametrize(
    "share",
    [
        Share(1, PRICED, DELIVERED),
        Share(1, PRICED, DELIVERED, absurd=True),
        Share(1, UNPRICED, DELIVERED, USAGE),
        Share(1, PRICED, DELIVERED, Usage(images=2)),
    ],
    ids=["unmetered", "absurd", "unpriced", "a piece without a price"],
)
def test_what_is_not_known_is_not_a_zero(share: Share) -> None:
    """Without usage or without a price there is no cost, nobody is charged, and nothing is told about it."""
    receipt = make_receipt(settled(share), story(), 0.0)
    assert (receipt.cost, receipt.cost_in, receipt.cost_out) == (None, None, None)
    assert usage_members(receipt) == b""
    line = receipt.record.lines[0]
    assert (receipt.record.charged, line.cost, line.absurd) == (0, None, share.absurd)
    tokens = 0 if share.usage is None else share.usage.output_tokens
    assert receipt.delivered_tps == (tokens / 4.0 or None)


def test_pieces_are_charged() -> None:
    """Two images of 40 nano-dollars come out, an hour of sound at 70 goes in."""
    price = Price(Rate(0), Rate(0), image=NanoUsd(40), sound_hour=NanoUsd(70))
    share = Share(1, Endpoint("p", "by-piece", price), DELIVERED, Usage(images=2, sound_ms=3_600_000))
    receipt = make_receipt(settled(share), story(), 0.0)
    assert (receipt.cost, receipt.cost_in, receipt.cost_out, receipt.record.charged) == (150, 70, 80, 150)


def test_the_minute_of_the_day_decides_the_rates() -> None:
    """Unix time 60 is in the first minute of the day's second."""
    hours = (Hours(begin=1, end=2, output=Rate(2_000_000)),)
    dear = Endpoint("p", "dear", Price(Rate(0), Rate(1_000_000), hours=hours))
    shares = settled(Share(1, dear, DELIVERED, Usage(output_text=1)))
    costs = [make_receipt(shares, story(), at).cost for at in (59.9, 60.0, 119.9, 120.0, 86_460.0)]
    assert costs == [1, 2, 2, 1, 2]


def test_something_free_costs_zero_and_says_so() -> None:
    """A price of nothing is a price."""
    free = Endpoint("p", "free", Price(Rate(0), Rate(0)))
    receipt = make_receipt(settled(Share(1, free, DELIVERED, USAGE)), story(), 0.0)
    assert receipt.cost == 0
    assert usage_members(receipt).startswith(b'"cost":0.000000000,')


def test_lost_attempts_are_counted_and_not_charged() -> None:
    """The first attempt cost us 4000, the second answered; the key pays for the second alone."""
    lost = Share(1, PRICED, ABSORBED, Usage(input_uncached=4), fault="reset")
    receipt = make_receipt(settled(lost, Share(2, PRICED, DELIVERED, USAGE), winner=2), story(), 0.0)
    assert [line.cost for line in receipt.record.lines] == [4_000, 25_000]
    assert (receipt.record.charged, receipt.cost, receipt.record.lines[0].fault) == (25_000, 25_000, "reset")


def test_a_caller_that_left_pays_what_the_provider_bills() -> None:
    """There is no winner and no endpoint that answered, yet the work is charged."""
    receipt = make_receipt(settled(Share(1, PRICED, BILLED, USAGE), winner=0, settlement=BILLED), story(), 0.0)
    assert (receipt.record.charged, receipt.record.endpoint, receipt.cost) == (25_000, "", None)


@pytest.mark.parametrize(("tokens", "slow"), [(4, True), (5, False), (1, False), (0, False)])
def test_slow_is_below_the_floor_while_generating(tokens: int, slow: bool) -> None:
    """Two seconds of text: five tokens are the floor of 2 per second exactly; one token has no speed."""
    usage = Usage(input_uncached=1, output_text=tokens)
    receipt = make_receipt(settled(Share(1, PRICED, DELIVERED, usage)), story(), 0.0)
    assert receipt.record.slow is slow


def test_the_last_chunk_tells_the_story() -> None:
    """Milliseconds and tokens per second to one place; no run id is null."""
    receipt = make_receipt(
        settled(Share(1, PRICED, ABSORBED), Share(2, PRICED, DELIVERED, USAGE), winner=2), story(), 0.0
    )
    assert msgspec.json.decode(b"{" + tokenway_member(receipt) + b"}") == {
        "tokenway": {
            "endpoint": "p/priced",
            "attempts": 2,
            "ttft_ms": 1000.0,
            "output_tps": 2.0,
            "delivered_tps": 1.2,
            "run": "nightly",
            "slow": False,
        }
    }
    silent = story()
    silent.times, silent.run = Stamps(100.0, end=104.0), ""
    told = msgspec.json.decode(b"{" + tokenway_member(make_receipt(settled(), silent, 0.0)) + b"}")["tokenway"]
    assert (told["ttft_ms"], told["output_tps"], told["delivered_tps"], told["run"]) == (None, None, None, None)


def test_a_class_of_service_is_charged_at_its_own_rates_and_recorded() -> None:
    """10 tokens at 2000 and 5 at 3000, which the service does not name; the other attempt at the usual rates."""
    dear = Endpoint("p", "dear", Price(Rate(10**9), Rate(3 * 10**9), priority=Service(input=Rate(2 * 10**9))))
    shares = Share(1, dear, DELIVERED, USAGE), Share(2, dear, ABSORBED, USAGE)
    receipt = make_receipt(settled(*shares), served("priority"), 0.0)
    assert (receipt.cost, receipt.cost_in, receipt.record.charged) == (35_000, 20_000, 35_000)
    assert [(line.cost, line.service) for line in receipt.record.lines] == [(35_000, "priority"), (25_000, "")]


def test_a_class_of_service_without_rates_is_charged_as_usual() -> None:
    """And is in the record all the same."""
    receipt = make_receipt(settled(Share(1, PRICED, DELIVERED, USAGE)), served("flex"), 0.0)
    assert (receipt.cost, receipt.record.lines[0].service) == (25_000, "flex")
