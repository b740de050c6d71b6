"""What the fields of accounts may hold. Each function gives the value back as it is stored, or raises Invalid."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from tokenway.model.limits import FLEETING, Measure, Term
from tokenway.store.accounts.records import LimitTerms
from tokenway.store.base import Invalid

NAME_MAX: Final = 200
SLUG_MAX: Final = 64
LABELS_MAX: Final = 32
LABEL_MAX: Final = 256
LIST_MAX: Final = 200
MARKUP_MIN: Final = -1_000_000
MARKUP_MAX: Final = 100_000_000
"""Millionths: from a gift to a hundred times more."""
AMOUNT_MAX: Final = 10**18
"""A thousand million dollars in nano-dollars; sums of it stay within 64 bits."""
TIME_MAX: Final = 253_402_300_799.0
"""The last second of the year 9999: what RFC 3339 can write."""

_SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?")
_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?")
_NOT_SLUG: Final = re.compile(r"[^a-z0-9]+")


def name(text: str) -> str:
    """What people call something."""
    return _text("name", text)


def user_name(text: str) -> str:
    """What a user signs in with: without blanks, and in lower case, so that no two differ by case alone."""
    found = _text("name", text).lower()
    if any(mark.isspace() for mark in found):
        raise Invalid("name", "a user's name has no blanks; an e-mail address is usual")
    return found


def slug(text: str) -> str:
    """The id of a project: it stands in paths, reports and configuration files."""
    if len(text) > SLUG_MAX or not _SLUG.fullmatch(text):
        raise Invalid(
            "id", f"a project's id has 1 to {SLUG_MAX} of a-z, 0-9, '.', '_' and '-', and begins and ends with a-z, 0-9"
        )
    return text


def slug_of(text: str) -> str:
    """An id made of a name."""
    made = _NOT_SLUG.sub("-", text.lower())[:SLUG_MAX].strip("-")
    return made or "project"


def labels(found: Mapping[str, str]) -> dict[str, str]:
    """Names and texts to find something by."""
    if len(found) > LABELS_MAX:
        raise Invalid("labels", f"there may be {LABELS_MAX} labels and not {len(found)}")
    for label, text in found.items():
        if len(label) > LABEL_MAX or not _LABEL.fullmatch(label):
            raise Invalid("labels", f"a label's name is made of A-Z, a-z, 0-9, '.', '_', '/' and '-', unlike {label!r}")
        if len(text) > LABEL_MAX or "\0" in text:
            raise Invalid("labels", f"the text of label {label!r} has at most {LABEL_MAX} characters")
    return dict(found)


def markup(millionths: int) -> int:
    """What is added to a cost."""
    if not MARKUP_MIN <= millionths <= MARKUP_MAX:
        raise Invalid("markup", "a markup is from -100 % to 10000 %")
    return millionths


def amount(field: str, number: int | None) -> int | None:
    """An amount of money, tokens or calls."""
    if number is not None and not 0 <= number <= AMOUNT_MAX:
        raise Invalid(field, f"{field} is from 0 to {AMOUNT_MAX} and not {number}")
    return number


def moment(field: str, at: float | None) -> float | None:
    """A time."""
    if at is not None and not (math.isfinite(at) and 0 <= at <= TIME_MAX):
        raise Invalid(field, f"{field} is not a time between 1970 and 9999")
    return at


def names(field: str, found: Iterable[str] | None) -> tuple[str, ...] | None:
    """A list of what is allowed."""
    if found is None:
        return None
    listed = tuple(dict.fromkeys(found))
    if len(listed) > LIST_MAX:
        raise Invalid(field, f"{field} has at most {LIST_MAX} entries")
    for entry in listed:
        _text(field, entry)
    return listed


def networks(found: Iterable[str] | None) -> tuple[str, ...] | None:
    """Networks in CIDR form; a single address is a network of its own."""
    listed = names("addresses", found)
    if listed is None:
        return None
    try:
        return tuple(dict.fromkeys(str(ipaddress.ip_network(entry.strip())) for entry in listed))
    except ValueError as error:
        raise Invalid("addresses", f"{error}; write a network as 10.1.0.0/16 or 2001:db8::/32") from None


def limit(terms: LimitTerms) -> LimitTerms:
    """What a limit may bound."""
    amount("amount", terms.amount)
    if terms.measure in FLEETING and terms.term is not Term.TOTAL:
        raise Invalid("term", f"{terms.measure} is counted at each moment, so its limit has no term")
    if terms.measure in {Measure.DEPTH, Measure.LOOPS} and not terms.per_run:
        raise Invalid("per_run", f"{terms.measure} is counted in each run by itself, so its limit must be per run")
    if terms.rolling and terms.term in {Term.TOTAL, Term.MINUTE}:
        raise Invalid("rolling", "only a day, week or month can roll")
    if terms.per_run and terms.term is not Term.TOTAL:
        raise Invalid("per_run", "what a run may take is counted from its beginning to its end, so the term is total")
    if terms.measure is Measure.USD and terms.term is Term.MINUTE:
        raise Invalid("term", "money is bounded by the day, week, month or in total")
    return terms


CHECKS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "name": name,
    "labels": labels,
    "markup": markup,
    "expires": lambda at: moment("expires", at),
    "max_cost": lambda number: amount("max_cost", number),
    "models": lambda found: names("models", found),
    "endpoints": lambda found: names("endpoints", found),
    "addresses": networks,
}
"""By field; those that are not here hold whatever their type allows."""


def checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as they are stored."""
    return {field: CHECKS[field](value) if field in CHECKS else value for field, value in values.items()}


def _text(field: str, text: str) -> str:
    found = text.strip()
    if not found or len(found) > NAME_MAX or not found.isprintable():
        raise Invalid(field, f"{field} is a line of 1 to {NAME_MAX} characters that can be seen")
    return found
