"""Money, times and names as they stand in requests and answers.

Money is a decimal string in USD with at most nine places, a markup one with at most six, a time is RFC 3339 in UTC. All
are read strictly: what is a JSON number, has an exponent or a comma is refused, so nothing is ever rounded.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from tokenway.control.api.problems import Problem
from tokenway.model.money import USD_PATTERN, format_usd, parse_amount

MONEY: Final = f"^{USD_PATTERN}$"
SIGNED_MONEY: Final = f"^-?{USD_PATTERN}$"
MARKUP: Final = r"^(-?0(\.[0-9]{1,6})?|-1(\.0{1,6})?|[1-9][0-9]?(\.[0-9]{1,6})?|100(\.0{1,6})?)$"
IDENTITY: Final = r"^[A-Za-z0-9][A-Za-z0-9_.:@+-]{0,127}$"
_USD: Final = 'write US dollars as a decimal string with at most nine places, as in "12.5"'
PATTERNS: Final = {
    MONEY: _USD,
    SIGNED_MONEY: _USD,
    MARKUP: 'write a share from -1 to 100 as a decimal string with at most six places: "0.125" is 12.5 % more',
    IDENTITY: "write up to 128 letters, digits and any of _.:@+-, the first a letter or a digit",
}
"""What is said of a text that does not have the form that it must have."""
_TIME: Final = re.compile(
    r"([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])",
    re.ASCII,
)


def _whole(value: Any) -> Any:
    """A number without a fraction is whole in JSON, however it is written."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE: Final = BeforeValidator(_whole)
Version = Annotated[int, Field(ge=0, le=2**31 - 1), WHOLE]


class Body(BaseModel):
    """The body of a request: nothing is converted, and nothing is there that has no meaning."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Versioned(Body):
    """A change of something that has a version."""

    version: Version = Field(description="The version that was seen: 409 when there is another one by now.")

    def agreed(self, if_match: str | None) -> int:
        """The version; raises Problem when the header names another one."""
        if if_match is not None and if_match.strip('"') != str(self.version):
            raise Problem(409, f"If-Match says {if_match} and the body says {self.version}", field="If-Match")
        return self.version


class Shown(BaseModel):
    """An answer."""

    model_config = ConfigDict(extra="forbid")


def _time(text: str) -> str:
    moment_of(text)
    return text


def moment_of(text: str) -> float:
    """Unix seconds of a time in RFC 3339; raises ValueError."""
    if not _TIME.fullmatch(text):
        raise ValueError("is no time in RFC 3339, such as 2026-01-31T12:00:00Z")
    try:
        moment = datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError):
        raise ValueError("is no time that there is, such as 2026-01-31T12:00:00Z") from None
    return moment


def shown_time(moment: float) -> str:
    """A time for an answer, to the nearest millisecond."""
    return datetime.fromtimestamp(moment + 0.0005, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shown_moment(moment: float | None) -> str | None:
    """The same of a time that may not have come."""
    return None if moment is None else shown_time(moment)


def nano(text: str) -> int:
    """Nano-dollars of a decimal string that has the form of money."""
    return int(parse_amount(text))


def usd(amount: int) -> str:
    """Nano-dollars as a decimal string."""
    return format_usd(amount)


Money = Annotated[
    str, Field(pattern=MONEY, description="USD, a decimal string with at most nine places.", examples=["12.5"])
]
"""An amount in a request."""
SignedMoney = Annotated[str, Field(pattern=SIGNED_MONEY, description="USD, a decimal string.", examples=["-0.25"])]
"""An amount that may be negative."""
Markup = Annotated[
    str,
    Field(
        pattern=MARKUP,
        description='A share on top of cost, a decimal string with at most six places: "0.125" is 12.5 % more.',
        examples=["0.125"],
    ),
]
"""What is charged on top of cost."""
Time = Annotated[
    str,
    AfterValidator(_time),
    WithJsonSchema(
        {"type": "string", "format": "date-time", "description": "RFC 3339.", "examples": ["2026-01-31T12:00:00Z"]}
    ),
]
"""A time in a request."""
Identity = Annotated[str, Field(pattern=IDENTITY)]
"""An id in a request."""
Label = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
_LABEL_NAME: Final = r"^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$"
_LABELS_MAX: Final = 32
Labels = Annotated[
    dict[Annotated[str, Field(pattern=_LABEL_NAME)], Label],
    Field(max_length=_LABELS_MAX),
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": _LABEL_NAME},
            "additionalProperties": {"type": "string", "maxLength": 200, "pattern": r"^[^\x00-\x1f\x7f]*$"},
            "maxProperties": _LABELS_MAX,
            "description": "Names and texts to find it by.",
        }
    ),
]
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""A line for people."""
Note = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")]
Json = dict[str, Any]
