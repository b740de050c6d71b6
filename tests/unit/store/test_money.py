"""Money that moves without an exchange: once each, in both accounts, and codes that are worth it once."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.records import NOON, reserved, settled
from tests.unit.store.conftest import Clock
from tokenway.store.accounts.audit import AuditFilter
from tokenway.store.accounts.records import CLI
from tokenway.store.base import Conflict, Invalid, NotFound, Progress
from tokenway.store.money import AMOUNT_MAX, Balance, StatementLine
from tokenway.store.open import Store
from tokenway.store.verify import verify

USD = 1_000_000_000


@pytest.fixture
def store(open_store: Callable[..., Store], clock: Clock) -> Store:
    """A store with the default project."""
    opened = open_store(clock=clock)
    opened.accounts.ensure_default_project(by=CLI)
    return opened


def test_every_movement_stands_in_both_of_its_accounts(store: Store) -> None:
    """The wallet has what was brought less what was taken back, and the ledger holds."""
    money = store.money
    money.top_up("default", 10 * USD, by=CLI, note="paid")
    money.grant("default", 5 * USD, by=CLI)
    money.refund("default", 2 * USD, by=CLI)
    money.adjust("default", -3 * USD, by=CLI)
    money.adjust("default", USD, by=CLI)
    store.ledger.commit(Progress("j", "w", "o", 1), [reserved(1), settled(1, charged=4 * USD)])
    moved = [(t.kind, t.debit, t.credit, t.amount // USD, t.actor) for t in money.transfers("default")]

    assert money.balance("default") == Balance(credits=15 * USD, spent=4 * USD)
    assert money.balance("default").left == 11 * USD
    assert sorted(moved) == [
        ("adjustment", "adjustment", "wallet:default", 1, "cli"),
        ("adjustment", "wallet:default", "adjustment", 3, "cli"),
        ("grant", "promotion", "wallet:default", 5, "cli"),
        ("refund", "adjustment", "wallet:default", 2, "cli"),
        ("top_up", "cash", "wallet:default", 10, "cli"),
    ]
    found = verify(store.database, NOON)
    assert (found.faults, found.debits) == ([], 21 * USD + 4 * USD + 1_234)


def test_the_audit_log_says_which_way_money_went(store: Store) -> None:
    """What was taken out of a wallet has its sign."""
    store.money.adjust("default", 3 * USD, by=CLI)
    store.money.adjust("default", -2 * USD, by=CLI)
    changes = store.accounts.audit.page(AuditFilter(resource="credits")).rows

    assert [row.detail["amount"] for row in changes] == [-2 * USD, 3 * USD]


def test_a_reference_is_used_once(store: Store) -> None:
    """The same again gives the first movement back; other contents are a conflict, and change nothing."""
    first = store.money.top_up("default", USD, by=CLI, reference="invoice 7")
    again = store.money.top_up("default", USD, by=CLI, reference="invoice 7")

    assert again == first
    for move, amount, note in ((store.money.top_up, 2, ""), (store.money.grant, 1, ""), (store.money.top_up, 1, "x")):
        with pytest.raises(Conflict, match="invoice 7"):
            move("default", amount * USD, by=CLI, reference="invoice 7", note=note)
    assert store.money.balance("default") == Balance(USD, 0)
    assert len(store.money.transfers()) == 1


@pytest.mark.parametrize("reference", ["", " ", " a", "a ", "a\nb", "a\n", "ä", "a" * 201])
def test_what_is_no_reference(store: Store, reference: str) -> None:
    """Nothing least of all: a variable that was never set would make one movement of all that are told with it."""
    with pytest.raises(Invalid, match="printable") as error:
        store.money.top_up("default", USD, by=CLI, reference=reference)
    assert error.value.field == "reference"
    store.money.top_up("default", USD, by=CLI, reference="a" * 200)
    assert len(store.money.transfers()) == 1


def test_what_cannot_be_is_refused(store: Store) -> None:
    """Nothing, less than nothing, more than reason, and projects that are not there."""
    for amount in (0, -1, AMOUNT_MAX + 1):
        with pytest.raises(Invalid, match="more than 0") as error:
            store.money.top_up("default", amount, by=CLI)
        assert error.value.field == "amount"
    with pytest.raises(Invalid, match="not 0"):
        store.money.adjust("default", 0, by=CLI)
    with pytest.raises(NotFound, match="no project nobody"):
        store.money.grant("nobody", USD, by=CLI)
    with pytest.raises(NotFound):
        store.money.balance("nobody")
    assert store.money.transfers() == []


def test_a_code_is_worth_its_amount_once(store: Store) -> None:
    """However it is written; it is stored as a digest, and never shown again."""
    one, two = store.money.make_codes(2, 5 * USD, by=CLI, note="conference")
    moved = store.money.redeem(one.reveal().lower().replace("-", " "), "default", by=CLI)

    assert (moved.kind, moved.debit, moved.amount, moved.note) == ("redemption", "promotion", 5 * USD, "conference")
    shown = f"code:{one.reveal()[:5]}"
    assert moved.reference == shown
    assert [each.reference for each in store.money.transfers()] == [shown]
    assert [each.reference for each in store.money.statement("default", 0, NOON + 86_400).lines] == [shown]
    with pytest.raises(Conflict, match="redeemed before"):
        store.money.redeem(one.reveal(), "default", by=CLI)
    with pytest.raises(NotFound, match="no such code"):
        store.money.redeem("AAAAA-AAAAA", "default", by=CLI)
    assert store.money.balance("default").credits == 5 * USD
    codes = {code.prefix: code for code in store.money.codes()}
    assert codes[one.reveal()[:5]].project == "default"
    assert codes[two.reveal()[:5]].redeemed is None
    assert not any(one.reveal().replace("-", "") in str(code) for code in codes.values())


def test_a_code_expires(store: Store, clock: Clock) -> None:
    """At its moment it is not good any more; one that has expired already is not made."""
    (code,) = store.money.make_codes(1, USD, by=CLI, expires=NOON + 60)
    clock.now = NOON + 60
    with pytest.raises(Conflict, match="expired"):
        store.money.redeem(code.reveal(), "default", by=CLI)
    with pytest.raises(Invalid, match="expired already"):
        store.money.make_codes(1, USD, by=CLI, expires=NOON)
    with pytest.raises(Invalid, match="between 1 and"):
        store.money.make_codes(0, USD, by=CLI)


def test_of_many_who_redeem_a_code_at_once_one_has_it(open_store: Callable[..., Store]) -> None:
    """Each through a connection of its own."""
    stores = [open_store(clock=lambda: NOON) for _ in range(4)]
    stores[0].accounts.ensure_default_project(by=CLI)
    (code,) = stores[0].money.make_codes(1, USD, by=CLI)
    outcomes: list[str] = []

    def redeem(store: Store) -> None:
        try:
            outcomes.append(store.money.redeem(code.reveal(), "default", by=CLI).kind)
        except Conflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=redeem, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["conflict", "conflict", "conflict", "redemption"]
    assert stores[0].money.balance("default").credits == USD


def test_a_statement_goes_from_what_was_there_to_what_is_left(store: Store, clock: Clock) -> None:
    """Movements as they came, charges by the day, and only those of its days."""
    store.money.top_up("default", 10 * USD, by=CLI)
    store.ledger.commit(
        Progress("j", "w", "o", 1),
        [
            settled(1, charged=USD),
            settled(2, charged=USD, at=NOON + 86_400),
            settled(3, charged=2 * USD, at=NOON + 86_401),
            settled(4, charged=5, at=NOON + 3 * 86_400),
        ],
    )
    clock.now = NOON + 86_500
    store.money.refund("default", USD, by=CLI, reference="r", note="sorry")
    found = store.money.statement("default", NOON + 86_400, NOON + 2 * 86_400)

    assert (found.opening, found.closing) == (9 * USD, 7 * USD)
    assert found.lines == [
        StatementLine(NOON + 43_200, "charges", -3 * USD),
        StatementLine(NOON + 86_500, "refund", USD, "sorry", "r"),
    ]


def test_every_movement_is_in_the_audit_log(store: Store) -> None:
    """Who has moved what, and for whom; a movement that was there already is no change."""
    moved = store.money.top_up("default", USD, by=CLI, reference="a")
    store.money.top_up("default", USD, by=CLI, reference="a")
    found = store.accounts.audit.page(size=5).rows
    newest = found[0]

    assert (newest.action, newest.resource, newest.subject) == ("top_up", "credits", "default")
    assert moved.id in str(newest.detail)
    assert [row.action for row in found].count("top_up") == 1
