"""A small HTTP client for a running gateway's public listener, on the standard library.

Enough for the commands here: JSON answers and one stream of server-sent events. Every failure is a
`CommandError` whose sentence names the gateway and what to do.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from tokenway import __version__
from tokenway.cli.errors import BadUsage, CommandError
from tokenway.wire.sse import EventSplitter, event_data, split_events

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from tokenway.model.secret import Secret

CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 300.0
"""The longest silence that is waited for; the gateway's own deadlines are shorter by default."""
READ_BYTES: Final = 64 * 1024
ERROR_TEXT_MAX: Final = 300
"""Characters of an answer that is not our JSON which a sentence repeats."""

_NO_ADDRESS: Final = "{!r} is not an address such as http://127.0.0.1:8080."

Json = dict[str, Any]


class GatewayError(CommandError):
    """The gateway answered with an error; `status` is the HTTP status, 0 inside a stream."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Gateway:
    """One gateway at `base_url` (with or without a final `/v1`), spoken to with `key`.

    Each request has a connection of its own: closing it is how a running answer is cancelled.
    Raises BadUsage when the address is not one.
    """

    def __init__(self, base_url: str, key: Secret | None) -> None:
        try:
            parts = urlsplit(base_url.rstrip("/"))
            port = parts.port
        except ValueError:
            raise BadUsage(_NO_ADDRESS.format(base_url)) from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise BadUsage(_NO_ADDRESS.format(base_url))
        self._secure = parts.scheme == "https"
        self._host = parts.hostname
        self._port = port
        self._prefix = parts.path.removesuffix("/v1")
        self._key = key
        self.base_url = f"{parts.scheme}://{parts.netloc}{self._prefix}"

    @property
    def is_on_this_machine(self) -> bool:
        """Whether the address is a loopback one."""
        try:
            return ipaddress.ip_address(self._host).is_loopback
        except ValueError:
            return self._host == "localhost"

    def get(self, path: str) -> Json:
        """The JSON object at `path` (which begins with `/v1` or `/health`); raises CommandError."""
        with self._answer("GET", path, None) as answer:
            return _object(answer.read())

    def post(self, path: str, body: Mapping[str, object]) -> Json:
        """The JSON object that answers `body`; raises CommandError, GatewayError for an error status."""
        with self._answer("POST", path, body) as answer:
            return _object(answer.read())

    def stream(self, path: str, body: Mapping[str, object]) -> Generator[Json, None, None]:
        """The JSON of each event that answers `body`, as it arrives, up to the end mark.

        Closing the iterator closes the connection, which stops the answer. Raises GatewayError for an
        error status or an error inside the stream, CommandError when the connection breaks.
        """
        with self._answer("POST", path, body) as answer:
            for data in _events(answer):
                if data == b"[DONE]":
                    return
                event = _object(data)
                if error := event.get("error"):
                    raise GatewayError(_sentence(error), 0)
                yield event
        raise CommandError("The answer broke off before its end; ask again.")

    @contextmanager
    def _answer(self, method: str, path: str, body: Mapping[str, object] | None) -> Iterator[http.client.HTTPResponse]:
        with self._exchange(method, path, body) as answer:
            if answer.status != http.client.OK:
                raise self._refusal(answer)
            yield answer

    @contextmanager
    def _exchange(
        self, method: str, path: str, body: Mapping[str, object] | None
    ) -> Iterator[http.client.HTTPResponse]:
        connection = self._connection()
        headers = {"accept": "application/json, text/event-stream", "user-agent": f"tokenway/{__version__}"}
        if self._key:
            headers["authorization"] = f"Bearer {self._key.reveal()}"
        payload = None
        if body is not None:
            headers["content-type"] = "application/json"
            payload = json.dumps(body, ensure_ascii=False).encode()
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise CommandError(
                f"No gateway answers at {self.base_url} ({_reason(error)}); "
                "start one with `tokenway serve`, or give its address with --base-url."
            ) from None
        try:
            connection.sock.settimeout(ANSWER_SECONDS)
            connection.request(method, self._prefix + quote(path, safe="/:?=&%@"), payload, headers)
            yield connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise CommandError(f"The connection to {self.base_url} broke ({_reason(error)}); ask again.") from None
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self._secure:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=CONNECT_SECONDS, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_SECONDS)

    def _refusal(self, answer: http.client.HTTPResponse) -> GatewayError:
        data = answer.read()
        try:
            sentence = _sentence(json.loads(data)["error"])
        except (ValueError, KeyError, TypeError):
            text = data.decode(errors="replace").strip()[:ERROR_TEXT_MAX] or answer.reason
            sentence = f"{self.base_url} answered {answer.status}: {text}"
        if answer.status == http.client.UNAUTHORIZED:
            sentence = (
                f"{sentence.rstrip('.')}; give a key with --key or TOKENWAY_API_KEY (`tokenway keys create` makes one)."
            )
        return GatewayError(sentence, answer.status)


def _events(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """The data of each server-sent event, as it arrives; comments are passed over."""
    splitter = EventSplitter()
    while piece := answer.read1(READ_BYTES):
        for event in split_events(splitter.feed(piece)):
            data = event_data(event)
            if data is not None:
                yield data


def _object(data: bytes) -> Json:
    try:
        value = json.loads(data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        text = data.decode(errors="replace").strip()[:ERROR_TEXT_MAX]
        raise CommandError(f"The answer is not a gateway's (it begins {text!r}); check --base-url.")
    return value


def _sentence(error: object) -> str:
    """The message of an error object in OpenAI's shape, or whatever came instead."""
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        return str(error["message"])
    return str(error)[:ERROR_TEXT_MAX]


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) else str(error)
    return (text or type(error).__name__).lower()
