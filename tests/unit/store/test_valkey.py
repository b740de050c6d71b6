"""Rates in a real Valkey or Redis: the same as in memory, over many machines, and through the server's death."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence

import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from valkey.asyncio import Valkey

from tests.servers.fixtures import demand
from tests.servers.server import free_port
from tests.servers.valkey import ValkeyServer, why_not
from tokenway.metering.terms import MINUTE, chunk
from tokenway.model.limits import Limit, Measure, Scope, Term
from tokenway.model.secret import Secret
from tokenway.store.granting import Ask, Given, Unavailable
from tokenway.store.rates import RUN_ENTRIES_MAX, SLOT_AGAIN_SECONDS, MemoryRates, SharedRates
from tokenway.store.valkey import SCRIPTS, SLOTS_MS, ValkeyRates

pytestmark = pytest.mark.valkey

Open = Callable[..., ValkeyRates]
SLOTS, DEPTH, LOOPS = Measure.CONCURRENCY, Measure.DEPTH, Measure.LOOPS


@pytest.fixture
async def machine(valkey: ValkeyServer) -> AsyncIterator[Open]:
    """Opens the rates as a machine of this name sees them."""
    opened: list[ValkeyRates] = []

    def open_rates(node: str = "n1", url: str = "") -> ValkeyRates:
        opened.append(ValkeyRates(Secret(url or valkey.url()), node, time.time))
        return opened[-1]

    yield open_rates
    for each in opened:
        await each.close()


def ask(
    amount: int, least: int = 1, holder: str = "w1", measure: Measure = Measure.REQUESTS, *detail: str, holders: int = 1
) -> Ask:
    """One ask for a limit of so much."""
    return Ask(
        "lim_1", Limit("lim_1", Scope.KEY, "k", measure, amount, Term.MINUTE), holder, least, holders, detail=detail
    )


async def early(seconds: float = 5.0) -> None:
    """Waits until so much is left of the minute, so that no window ends in the middle of a test."""
    left = MINUTE - time.time() % MINUTE
    if left < seconds:
        await asyncio.sleep(left + 0.05)


async def test_machines_share_a_window(machine: Open) -> None:
    """No more than the limit, in the minute that the server's clock shows, told in the time of this machine."""
    await early()
    one, two = machine("n1"), machine("n2")
    now = time.time()
    first, second = await one.lend([ask(10, 6), ask(10, 1, "w2")])
    assert (first.amount, first.remains, second.amount, second.remains) == (6, 4, 1, 3)
    assert first.period == int(now // MINUTE)
    assert abs(first.begins - first.period * MINUTE) < 0.05
    assert first.ends == first.begins + MINUTE
    third = (await two.lend([ask(10, 6)]))[0]
    assert (third.amount, third.remains) == (3, 0)
    assert abs(third.wait - (third.ends - now)) < 0.2
    await two.take_back([Given("lim_1", third.period, "w1", 2), Given("lim_1", third.period - 1, "w1", 7)])
    assert (await one.lend([ask(10, 9)]))[0].amount == 2
    assert (await one.lend([ask(5, 9)]))[0].wait == 0.0
    await two.take_back([])


async def test_the_machines_clock_does_not_matter(valkey: ValkeyServer) -> None:
    """One that is an hour late is in the same window."""
    await early()
    late = ValkeyRates(Secret(valkey.url()), "n3", lambda: time.time() - 3600)
    lent = (await late.lend([ask(10, 1)]))[0]
    assert lent.period == int(time.time() // MINUTE)
    assert abs(lent.begins + 3600 - lent.period * MINUTE) < 0.05
    await late.close()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asks=st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 10**11), st.integers(0, 9)), min_size=1, max_size=8),
    measure=st.sampled_from([Measure.TOKENS, SLOTS]),
    number=st.integers(0, 10**9),
)
def test_what_is_lent_is_computed_as_in_memory(
    valkey: ValkeyServer, asks: list[tuple[int, int, int]], measure: Measure, number: int
) -> None:
    """Whatever amounts and holders: the scripts and the library agree to the last one."""

    async def play() -> None:
        await early(2.0)
        far = ValkeyRates(Secret(valkey.url()), "n1", time.time)
        valkey.clear()
        all_asks = [ask(amount, least, "w1", measure, holders=holders) for amount, least, holders in asks]
        lent = await far.lend(all_asks)
        await far.close()
        held = 0
        for each, got in zip(all_asks, lent, strict=True):
            assert got.amount == chunk(each.limit.amount, each.limit.amount - held, each.least, each.holders)
            held += got.amount
            assert got.remains == max(0, each.limit.amount - held)

    asyncio.run(play())


async def test_slots_are_believed_for_some_seconds(machine: Open, valkey: ValkeyServer) -> None:
    """Those of a machine that is dead come back by themselves; one that lives says that it has them."""
    one, two = machine("n1"), machine("n2")
    assert (await one.lend([ask(3, 2, "w1", SLOTS)]))[0].amount == 2
    refused = (await two.lend([ask(3, 2, "w9", SLOTS)]))[0]
    assert (refused.amount, refused.remains, refused.wait) == (1, 0, SLOT_AGAIN_SECONDS)
    await one.take_back([Given("lim_1", 0, "w1", 1)])
    assert (await two.lend([ask(3, 1, "w9", SLOTS)]))[0].amount == 1
    ends = time.time() + SLOTS_MS / 1000 + 0.3
    while time.time() < ends:
        await two.beat({"lim_1": 2}, {})
        await asyncio.sleep(1.0)
    assert (await two.lend([ask(4, 4, "w9", SLOTS)]))[0].amount == 2
    await two.beat({"lim_1": 0}, {})
    assert valkey.say(b"DBSIZE") == b":0\r\n"


async def test_depth_and_loops_are_the_runs_over_all_machines(machine: Open) -> None:
    """As in memory: circles are gone through once, refused requests do not count."""
    one, two = machine("n1"), machine("n2")
    near = MemoryRates(time.time, time.time)
    pairs = [
        ("", ""),
        ("main", ""),
        ("a", "main"),
        ("b", "a"),
        ("c", "b"),
        ("b", ""),
        ("main", "c"),
        ("s", "s"),
        ("a", "x"),
    ]
    for place, pair in enumerate(pairs * 2):
        for most in (3, 9):
            each = ask(most, 1, "w1", DEPTH, *pair)
            assert await (one, two)[place % 2].lend([each]) == await near.lend([each])
    for place, (digest, most) in enumerate([("x", 2), ("x", 2), ("x", 2), ("y", 2), ("x", 3), ("x", 3)]):
        each = ask(most, 1, "w1", LOOPS, digest)
        assert await (one, two)[place % 2].lend([each]) == await near.lend([each])


async def test_nothing_is_kept_for_ever(machine: Open, valkey: ValkeyServer) -> None:
    """Every key ends by itself, and a run has so many entries at most."""
    one = machine()
    asks = [ask(3, 1, "w1", measure, "x", "y") for measure in (Measure.TOKENS, SLOTS, DEPTH, LOOPS)]
    await one.lend(asks)
    client = valkey_client(valkey)
    keys = await client.keys("*")
    assert sorted(keys) == [f"tokenway:{kind}:lim_1".encode() for kind in ("depth", "loops", "rate", "slots")]
    assert all([await client.pttl(key) > 0 for key in keys])
    for start in range(0, RUN_ENTRIES_MAX + 2, 128):
        await one.lend([ask(1, 1, "w1", LOOPS, str(number)) for number in range(start, start + 128)])
    assert valkey.say(b"HLEN tokenway:loops:lim_1") == b":128\r\n"  # begun anew before the last of them
    await client.aclose()


def valkey_client(server: ValkeyServer) -> Valkey:
    """A client of the test's own."""
    return Valkey(host="127.0.0.1", port=server.port)


async def test_a_server_that_has_forgotten_the_scripts_is_told_them(machine: Open, valkey: ValkeyServer) -> None:
    """And every step is done once."""
    await early()
    one = machine()
    await one.lend([ask(10, 1)])
    for _ in range(2):
        assert valkey.say(b"SCRIPT FLUSH") == b"+OK\r\n"
        lent = await one.lend([ask(10, 1), ask(10, 1, "w1", SLOTS), ask(10, 1)])
        assert [each.amount for each in lent] == [1, 1, 1]
    client = valkey_client(valkey)
    await client.script_load(SCRIPTS[1].text)
    assert (await one.lend([ask(10, 9)]))[0].amount == 5
    await client.aclose()


async def test_a_server_that_cannot_be_asked_is_unavailable_soon(mortal_valkey: ValkeyServer) -> None:
    """Killed, or silent; when it is back, it is asked again as if nothing had been."""
    rates = ValkeyRates(Secret(mortal_valkey.url()), "n1", time.time)
    await rates.lend([ask(10, 1)])
    mortal_valkey.kill()
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await rates.lend([ask(10, 1)])
        assert time.monotonic() - began < 1.0
    with pytest.raises(Unavailable):
        await rates.beat({}, {})
    mortal_valkey.start()
    assert (await rates.lend([ask(10, 10)]))[0].amount == 10
    mortal_valkey.pause()
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await rates.take_back([Given("lim_1", 0, "w1", 1)])
    assert time.monotonic() - began < 1.0
    mortal_valkey.resume()
    await rates.beat({}, {})
    await rates.close()


async def test_an_answer_that_drips_is_not_waited_for() -> None:
    """Each byte comes in time, the whole does not; and the connection is not used for another answer."""
    writers: list[asyncio.StreamWriter] = []

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(b"+OK\r\n" * 2)  # to what is said first
        while not writer.is_closing():
            writer.write(b"*4\r\n:1\r\n")
            await asyncio.sleep(0.2)

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        rates = ValkeyRates(Secret(f"valkey://127.0.0.1:{port}"), "n1", time.time)
        for number in range(2):
            began = time.monotonic()
            with pytest.raises(Unavailable):
                await rates.lend([ask(10, 1)] * 9)
            assert time.monotonic() - began < 1.5
            assert len(writers) > number
        await rates.close()
        for writer in writers:
            writer.close()
        server.close()
        await asyncio.sleep(0.3)


async def test_a_machine_goes_on_with_its_share_and_tells_it_afterwards(mortal_valkey: ValkeyServer) -> None:
    """Killed in the middle of a minute: shares meanwhile; then what was lent, and the slots, are known again."""
    await early(10.0)
    one, two = (
        SharedRates(
            ValkeyRates(Secret(mortal_valkey.url()), node, time.time), MemoryRates(time.time, time.time), lambda: 2
        )
        for node in ("n1", "n2")
    )
    assert [each.amount for each in await one.lend([ask(100, 30), ask(8, 3, "w1", SLOTS)])] == [30, 3]
    mortal_valkey.kill()
    assert [each.amount for each in await one.lend([ask(100, 60), ask(8, 9, "w1", SLOTS)])] == [20, 1]
    assert [each.amount for each in await two.lend([ask(100, 60), ask(8, 9, "w1", SLOTS)])] == [50, 4]
    mortal_valkey.start()
    for each in (one, two):
        await each.beat()
        assert not each.is_away
    # What was lent before the server died it has forgotten, the slots it has not.
    assert [each.amount for each in await two.lend([ask(100, 99), ask(8, 9, "w1", SLOTS)])] == [30, 0]
    for each in (one, two):
        await each.close()


class GuardedServer(ValkeyServer):
    """One that also speaks TLS, and knows one user who may use our keys alone."""

    def __init__(self) -> None:
        super().__init__()
        self.tls_port = free_port()
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        authority.cert_pem.write_to_path(self.directory / "ca.pem")
        certificate.private_key_pem.write_to_path(self.directory / "key.pem")
        certificate.cert_chain_pems[0].write_to_path(self.directory / "cert.pem")

    def command(self) -> Sequence[str]:
        """With both ports."""
        files = {"ca-cert-file": "ca.pem", "key-file": "key.pem", "cert-file": "cert.pem", "auth-clients": "no"}
        options = {name: str(self.directory / file) if "file" in name else file for name, file in files.items()}
        options["port"] = str(self.tls_port)
        user = ["--user", "gate", "on", ">hunter2", "~tokenway:*", "+@all"]
        return [
            *super().command(),
            *(word for name, value in options.items() for word in (f"--tls-{name}", value)),
            *user,
        ]


async def test_a_server_is_spoken_to_in_secret(machine: Open) -> None:
    """By TLS with a certificate that is believed, as the user that the URL names; by nothing less."""
    demand(why_not)
    server = GuardedServer()
    try:
        server.start()
        for scheme in ("valkeys", "rediss"):
            url = f"{scheme}://gate:hunter2@127.0.0.1:{server.tls_port}/0"
            assert await machine(url=f"{url}?ssl_ca_certs={server.directory}/ca.pem").lend(
                [ask(1, 1, "w1", LOOPS, scheme)]
            )
            with pytest.raises(Unavailable) as caught:
                await machine(url=url).lend([ask(1)])
            assert "hunter2" not in str(caught.value)
    finally:
        server.close()


async def test_a_refused_password_is_unavailable_and_not_shown(machine: Open, valkey: ValkeyServer) -> None:
    """Nor is anything else that the server says no to."""
    url = valkey.url().replace("://", "://:hunter2@")
    with pytest.raises(Unavailable) as caught:
        await machine(url=url).lend([ask(1)])
    assert "hunter2" not in str(caught.value)
    client = valkey_client(valkey)
    await client.set("tokenway:rate:lim_1", "no hash")
    with pytest.raises(Unavailable, match="WRONGTYPE"):
        await machine().lend([ask(1)])
    await client.aclose()
