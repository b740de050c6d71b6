"""Log lines on stderr: one line per event, with named values, for a person or as JSON.

    2026-03-01T09:30:00.120Z INFO tokenway.control worker started worker=0 pid=4711
    {"time":"2026-03-01T09:30:00.120Z","level":"INFO","logger":"tokenway.control","event":"worker started","worker":0}

Values are passed with `extra={"worker": 0}`, never formatted into the message; `extra=fields(name="x")` takes names
that log records use themselves. No prompt and no key belongs into a log; what looks like a key is masked all the
same, because an exception's text comes from elsewhere.
"""

from __future__ import annotations

import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec

ROOT: Final = "tokenway"
_FIELDS: Final = "tokenway_fields"
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""Attributes that every log record has."""
_MASK: Final = "••••"
_KEY: Final = re.compile(
    r"\b(?:tw|sk|pk|rk|gsk|xai|csk|fw|AIza|AKIA)[-_A-Za-z0-9]{16,}|(?i:bearer)\s+[-._~+/A-Za-z0-9]{8,}=*",
    re.ASCII,
)


def fields(**values: object) -> dict[str, Any]:
    """The named values of an event, for the `extra` argument of a logger's methods."""
    return {_FIELDS: values}


def set_up(
    *, level: int | str = logging.INFO, json: bool = False, stream: TextIO | None = None, name: str = ROOT
) -> logging.Logger:
    """Sends the log below `name` to `stream` (stderr), replacing an earlier set-up; returns its logger.

    The name "" takes in what other packages log as well.
    """
    logger = logging.getLogger(name)
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if json else LineFormatter())
    for old in logger.handlers[:]:
        logger.removeHandler(old)
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
    return logger


def mask_keys(text: str) -> str:
    """`text` with everything that looks like an API key masked."""
    return _KEY.sub(_MASK, text)


class LineFormatter(logging.Formatter):
    """`time level logger event key=value …`; a value with spaces or quotes is quoted."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback below it when there is one."""
        values = "".join(f" {name}={_quoted(value)}" for name, value in _values(record).items())
        message = _one_line(record.getMessage())
        text = f"{_time(record)} {record.levelname} {record.name} {message}{values}"
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        return mask_keys(text)


class JsonFormatter(logging.Formatter):
    """One JSON object per line; the values of the event stand beside `time`, `level`, `logger` and `event`."""

    def format(self, record: logging.LogRecord) -> str:
        """The object as text."""
        entry: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "event": mask_keys(record.getMessage()),
        }
        for name, value in _values(record).items():
            plain = value if isinstance(value, int | float | bool) or value is None else mask_keys(str(value))
            entry[f"{name}_" if name in entry else name] = plain
        if record.exc_info:
            entry["exception"] = mask_keys(self.formatException(record.exc_info))
        return msgspec.json.encode(entry).decode()


def _values(record: logging.LogRecord) -> dict[str, object]:
    """What was passed as `extra`, whether through `fields` or as attributes of the record."""
    own = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    values = own.pop(_FIELDS, None)
    return own | values if isinstance(values, dict) else own


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _quoted(value: object) -> str:
    text = str(value)
    if text and text.isprintable() and not any(character in ' "=' for character in text):
        return text
    return msgspec.json.encode(text).decode()


def _one_line(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
