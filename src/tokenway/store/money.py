"""Money that moves without an exchange: what is paid in, given, taken back and corrected, and codes that are worth it.

Each movement is a row of `transfers` and stands in both of its accounts from the same moment on:

    top_up       cash        → wallet:PROJECT
    grant        promotion   → wallet:PROJECT
    redemption   promotion   → wallet:PROJECT     a code, once
    refund       adjustment  → wallet:PROJECT
    adjustment   adjustment  ↔ wallet:PROJECT     either way, by the sign of its amount

A `reference` is the caller's own name for a movement, and is used once: the same again gives the first one back, and
other contents under the same name are a conflict. Codes are 125 random bits, shown once and stored as their SHA-256.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace

from tokenway.model.secret import Secret
from tokenway.store.accounts.changes import Change, Changes
from tokenway.store.accounts.records import Actor
from tokenway.store.base import Conflict, Invalid, NotFound
from tokenway.store.database import Database
from tokenway.store.schema import balances, codes, facets, projects, rollups, transfers
from tokenway.store.sums import DAY, WALLET
from tokenway.store.writing import adding

CASH: Final = "cash"
PROMOTION: Final = "promotion"
ADJUSTMENT: Final = "adjustment"
_SOURCES: Final = {"top_up": CASH, "grant": PROMOTION, "refund": ADJUSTMENT, "adjustment": ADJUSTMENT}
AMOUNT_MAX: Final = 10**17
"""A hundred million dollars; more in one movement is a slip of the hand."""
REFERENCE: Final = r"^[!-~]([ -~]{0,198}[!-~])?$"
"""What a reference looks like."""
CODES_MAX: Final = 10_000
"""Codes that are made at once."""

_ALPHABET: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Without the letters and digits that are taken for one another."""
_CODE_LENGTH: Final = 25
_PREFIX_LENGTH: Final = 5
_CODE: Final = "code:"

_ADD_BALANCE: Final = sa.text(
    "INSERT INTO balances (account, node, debits, credits) VALUES (:account, :node, :debits, :credits)"  # noqa: S608
    + adding(balances)
)


class Transfer(msgspec.Struct, frozen=True):
    """A movement. `amount` is nano-dollars, from the account `debit` to `credit`.

    Of a redeemed code `reference` tells how it begins: `code:7KQ2M`.
    """

    id: str
    at: float
    kind: str
    debit: str
    credit: str
    amount: int
    project: str
    actor: str = ""
    reference: str | None = None
    note: str = ""


class Balance(msgspec.Struct, frozen=True):
    """What a project was given in all, what it was charged in all, and the difference: nano-dollars."""

    credits: int
    spent: int

    @property
    def left(self) -> int:
        """What is in its wallet; all of it but what is withheld may still be spent, when it is prepaid."""
        return self.credits - self.spent


class Code(msgspec.Struct, frozen=True):
    """A redemption code as it is stored. `prefix` are its first letters, `project` who has redeemed it."""

    digest: str
    prefix: str
    amount: int
    created: float
    expires: float | None
    note: str
    project: str | None
    redeemed: float | None


class StatementLine(msgspec.Struct, frozen=True):
    """A movement of a wallet, or what was charged on a day: then `kind` is `charges` and `at` the day's beginning."""

    at: float
    kind: str
    amount: int
    note: str = ""
    reference: str | None = None


class Statement(msgspec.Struct, frozen=True):
    """A wallet between two moments: what was in it, what came and went, and what was left."""

    opening: int
    lines: list[StatementLine]
    closing: int


class SqlMoney:
    """Moves money in a database. `node` is the machine that does it."""

    def __init__(self, database: Database, clock: Callable[[], float], node: str = "") -> None:
        self._database = database
        self._clock = clock
        self._changes = Changes(database, clock)
        self._node = node

    def top_up(self, project: str, amount: int, *, by: Actor, reference: str | None = None, note: str = "") -> Transfer:
        """Credits that were paid for. Raises NotFound, Invalid and Conflict, as the others do."""
        return self._move("top_up", project, amount, by, reference, note)

    def grant(self, project: str, amount: int, *, by: Actor, reference: str | None = None, note: str = "") -> Transfer:
        """Credits that are given away."""
        return self._move("grant", project, amount, by, reference, note)

    def refund(self, project: str, amount: int, *, by: Actor, reference: str | None = None, note: str = "") -> Transfer:
        """Charges that are given back."""
        return self._move("refund", project, amount, by, reference, note)

    def adjust(self, project: str, amount: int, *, by: Actor, reference: str | None = None, note: str = "") -> Transfer:
        """A correction, of either sign."""
        return self._move("adjustment", project, amount, by, reference, note)

    def make_codes(
        self, count: int, amount: int, *, by: Actor, expires: float | None = None, note: str = ""
    ) -> list[Secret]:
        """New codes worth `amount` each; they are shown now and never again."""
        if not 0 < count <= CODES_MAX:
            raise Invalid("count", f"between 1 and {CODES_MAX} codes are made at once, not {count}")
        _require_amount(amount)
        now = self._clock()
        if expires is not None and expires <= now:
            raise Invalid("expires", "the codes would have expired already")
        made = ["".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LENGTH)) for _ in range(count)]
        rows = [
            {"digest": _digest(code), "prefix": code[:_PREFIX_LENGTH], "amount": amount, "created": now}
            | {"expires": expires, "note": note, "project": None, "redeemed": None}
            for code in made
        ]
        with self._changes.begin(by) as change:
            change.connection.execute(codes.insert(), rows)
            change.record("create", "codes", "", detail={"count": count, "amount": amount, "note": note})
        return [Secret("-".join(code[at : at + 5] for at in range(0, _CODE_LENGTH, 5))) for code in made]

    def codes(self) -> list[Code]:
        """All codes, the newest first."""
        query = sa.select(*(codes.c[name] for name in Code.__struct_fields__)).order_by(codes.c.created.desc())
        with self._database.read() as connection:
            return [Code(*row) for row in connection.execute(query.order_by(codes.c.digest))]

    def redeem(self, code: str, project: str, *, by: Actor) -> Transfer:
        """What the code is worth, for this project. Raises NotFound for an unknown code, Conflict for a spent one."""
        digest, now = _digest(code), self._clock()
        is_good = (codes.c.redeemed.is_(None), sa.or_(codes.c.expires.is_(None), codes.c.expires > now))
        with self._changes.begin(by) as change:
            _require_project(change.connection, project)
            taken = codes.update().where(codes.c.digest == digest, *is_good).values(project=project, redeemed=now)
            is_taken = change.connection.execute(taken).rowcount == 1
            row = change.connection.execute(sa.select(codes).where(codes.c.digest == digest)).first()
            if row is None:
                raise NotFound("there is no such code")
            if not is_taken:
                raise Conflict("the code was redeemed before" if row.redeemed is not None else "the code has expired")
            wanted = Transfer("", now, "redemption", PROMOTION, WALLET + project, int(row.amount), project)
            moved = _write(change, replace(wanted, reference=_CODE + digest, note=str(row.note)), self._node)
            return replace(moved, reference=_CODE + row.prefix)

    def transfers(self, project: str | None = None) -> list[Transfer]:
        """All movements, or those of one project, the oldest first."""
        query = sa.select(*(transfers.c[name] for name in Transfer.__struct_fields__))
        if project is not None:
            query = query.where(transfers.c.project == project)
        with self._database.read() as connection:
            found = [Transfer(*row) for row in connection.execute(query.order_by(transfers.c.at, transfers.c.id))]
            shown = _shown_references(connection, project)
            return [replace(each, reference=shown.get(each.reference, each.reference)) for each in found]

    def balance(self, project: str) -> Balance:
        """What a project has. Raises NotFound."""
        with self._database.read() as connection:
            _require_project(connection, project)
            return balance_in(connection, project)

    def wallet(self, project: str) -> Balance:
        """The same of a project that perhaps only the configuration knows, or nobody by now."""
        with self._database.read() as connection:
            return balance_in(connection, project)

    def statement(self, project: str, begins: float, ends: float) -> Statement:
        """Movements, and charges by day, in [begins, ends); both are taken back to the beginning of their UTC day."""
        first, last = int(begins // DAY), int(ends // DAY)
        with self._database.read() as connection:
            _require_project(connection, project)
            opening = _moved(connection, project, 0, first) - sum(_charged(connection, project, 0, first).values())
            t = transfers.c
            query = sa.select(t.at, t.kind, t.credit, t.amount, t.note, t.reference)
            query = query.where(t.project == project, t.at >= first * DAY, t.at < last * DAY)
            shown = _shown_references(connection, project)
            lines = [
                StatementLine(
                    row.at,
                    row.kind,
                    _sign(row.credit) * row.amount,
                    row.note,
                    shown.get(row.reference, row.reference),
                )
                for row in connection.execute(query)
            ]
            days = _charged(connection, project, first, last)
        lines += [StatementLine(day * DAY, "charges", -amount) for day, amount in days.items() if amount]
        lines.sort(key=lambda line: line.at)
        return Statement(opening, lines, opening + sum(line.amount for line in lines))

    def _move(self, kind: str, project: str, amount: int, by: Actor, reference: str | None, note: str) -> Transfer:
        _require_amount(amount, either=kind == "adjustment")
        if reference is not None and not re.fullmatch(REFERENCE, reference):
            raise Invalid(
                "reference", "a reference has 1 to 200 printable characters of ASCII, and no blank at its ends"
            )
        wallet, source = WALLET + project, _SOURCES[kind]
        debit, credit = (source, wallet) if amount > 0 else (wallet, source)
        wanted = Transfer("", 0.0, kind, debit, credit, abs(amount), project, "", reference, note)
        with self._changes.begin(by) as change:
            _require_project(change.connection, project)
            if reference is not None:
                known = sa.select(*(transfers.c[name] for name in Transfer.__struct_fields__))
                row = change.connection.execute(known.where(transfers.c.reference == reference)).first()
                if row is not None:
                    found = Transfer(*row)
                    if _contents(found) != _contents(wanted):
                        raise Conflict(f"the reference {reference!r} stands for another movement: {found.id}")
                    return found
            return _write(change, wanted, self._node)


def _shown_references(connection: sa.Connection, project: str | None) -> dict[str | None, str]:
    """The references of redeemed codes, which have a code's digest, with how it begins instead: `code:7KQ2M`."""
    query = sa.select(codes.c.digest, codes.c.prefix).where(codes.c.redeemed.is_not(None))
    if project is not None:
        query = query.where(codes.c.project == project)
    return {_CODE + row.digest: _CODE + row.prefix for row in connection.execute(query)}


def grant_in(change: Change, project: str, amount: int, note: str, node: str) -> Transfer:
    """Credits that a project is given as part of a change, on this machine."""
    wanted = Transfer("", change.now, "grant", PROMOTION, WALLET + project, amount, project, note=note)
    return _write(change, wanted, node)


def balance_in(connection: sa.Connection, project: str) -> Balance:
    """What a project has, as this transaction sees it."""
    table = balances.c
    sums = sa.select(sa.func.sum(table.credits), sa.func.sum(table.debits)).where(table.account == WALLET + project)
    credits_, debits = connection.execute(sums).one()
    taken = sa.select(sa.func.sum(transfers.c.amount)).where(transfers.c.debit == WALLET + project)
    back = int(connection.execute(taken).scalar() or 0)
    return Balance(int(credits_ or 0) - back, int(debits or 0) - back)


def _write(change: Change, wanted: Transfer, node: str) -> Transfer:
    """The movement, in both of its accounts; rows of `balances` are taken in one order, here as by `Writer.add`."""
    made = replace(wanted, id=_new_id(change.now), at=change.now, actor=change.by.name)
    change.insert(transfers, msgspec.structs.asdict(made))
    sides = {made.debit: (made.amount, 0), made.credit: (0, made.amount)}
    for account, (debits, credits_) in sorted(sides.items()):
        values = {"account": account, "node": node, "debits": debits, "credits": credits_}
        change.connection.execute(_ADD_BALANCE, values)
    detail = {"amount": _sign(made.credit) * made.amount, "transfer": made.id}
    change.record(made.kind, "credits", made.project, project=made.project, detail=detail)
    return made


def _moved(connection: sa.Connection, project: str, first: int, last: int) -> int:
    """What transfers have brought to a wallet in these days."""
    t = transfers.c
    amount = sa.case((t.credit == WALLET + project, t.amount), else_=-t.amount)
    query = sa.select(sa.func.sum(amount)).where(t.project == project, t.at >= first * DAY, t.at < last * DAY)
    return int(connection.execute(query).scalar() or 0)


def _charged(connection: sa.Connection, project: str, first: int, last: int) -> dict[int, int]:
    """What was charged, by the day."""
    r = rollups.c
    query = sa.select(r.bucket, sa.func.sum(r.charged)).join(facets, facets.c.id == r.facet)
    query = query.where(facets.c.project == project, r.grain == DAY, r.bucket >= first, r.bucket < last)
    return {day: int(amount) for day, amount in connection.execute(query.group_by(r.bucket))}


def _sign(credit: str) -> int:
    return 1 if credit.startswith(WALLET) else -1


def _contents(transfer: Transfer) -> tuple[Any, ...]:
    return (transfer.kind, transfer.debit, transfer.credit, transfer.amount, transfer.note)


def _require_project(connection: sa.Connection, project: str) -> None:
    if connection.execute(sa.select(projects.c.id).where(projects.c.id == project)).first() is None:
        raise NotFound(f"there is no project {project}")


def _require_amount(amount: int, *, either: bool = False) -> None:
    if not 0 < (abs(amount) if either else amount) <= AMOUNT_MAX:
        what = "is not 0" if either else "is more than 0"
        raise Invalid("amount", f"an amount {what} and at most {AMOUNT_MAX // 10**9} dollars")


def _digest(code: str) -> str:
    """Of the code however it is written: small letters, spaces and dashes do not matter."""
    plain = "".join(letter for letter in code.upper() if letter.isalnum())
    return hashlib.sha256(plain.encode()).hexdigest()


def _new_id(now: float) -> str:
    """Ids begin with the time, so they sort by it."""
    return f"trf_{int(now * 1000):012x}{secrets.token_hex(6)}"
