"""Images that a caller gives by URL, for providers that take none: fetched where the configuration allows it.

Off unless `fetch_urls` is set for a provider. Only public addresses are asked, over a connection of its own for each
image; redirects are not followed, and neither the caller's credentials nor the gateway's go along.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from tokenway.aio.tasks import Tasks
from tokenway.edge.crossing import media_of
from tokenway.model.errors import ConfigError, Refusal, invalid_request
from tokenway.model.request import Media, Request, ToolResult
from tokenway.upstream.fetch import FetchError, fetch
from tokenway.upstream.pool import Pool
from tokenway.upstream.transport import Dial, dial_public, parse_base_url
from tokenway.wire.limits import FETCHED, FETCHES_MAX

if TYPE_CHECKING:
    from tokenway.edge.intake import Intake
    from tokenway.edge.relay import Relay
    from tokenway.edge.state import EdgeState

FETCH_SECONDS: Final = 20.0


def wants_images(intake: Intake) -> bool:
    """Whether media of a request are to be fetched, for a provider that may be asked."""
    crossings = intake.crossings
    if crossings is None or not any(intake.route.fetches(each) for each in intake.order.endpoints):
        return False
    return crossings.has_urls


async def fetch_for(state: EdgeState, relay: Relay, intake: Intake, begin: Callable[[Intake], None]) -> None:
    """Fetches what a request names by URL, and begins it; its caller is told what is not to be had."""
    if intake.crossings is None:
        raise RuntimeError("nothing is converted, so nothing is fetched")
    try:
        intake.crossings.complete(await with_images(intake.crossings.neutral, state.loop, state.tasks))
    except Refusal as refusal:
        relay.refuse(refusal.problem)
        return
    if relay.disconnected:
        relay.answered(b"")
    else:
        begin(intake)


async def with_images(
    request: Request, loop: asyncio.AbstractEventLoop, tasks: Tasks, dialer: Dial = dial_public
) -> Request:
    """The request with its media in place of their URLs; raises Refusal (400) that names the one that is not there."""
    wanted = list(dict.fromkeys(media.url for media in media_of(request) if media.url))
    if len(wanted) > FETCHES_MAX:
        raise invalid_request(f"More than {FETCHES_MAX} images by URL.", code="too_many_images")
    places = {media.url: media.place for media in media_of(request)}
    found = await asyncio.gather(*(_fetch(url, places[url], loop, tasks, dialer) for url in wanted))
    media = dict(zip(wanted, found, strict=True))
    messages = tuple(
        msgspec.structs.replace(message, parts=tuple(_filled(part, media) for part in message.parts))
        for message in request.messages
    )
    return msgspec.structs.replace(request, messages=messages)


def _filled(part: Any, media: dict[str, tuple[str, str]]) -> Any:
    """A part with what was fetched in place of its URL."""
    if isinstance(part, ToolResult):
        return msgspec.structs.replace(part, content=tuple(_filled(each, media) for each in part.content))
    if isinstance(part, Media) and part.url:
        kind, data = media[part.url]
        return msgspec.structs.replace(part, url="", data=data, media_type=kind or part.media_type)
    return part


async def _fetch(url: str, place: str, loop: asyncio.AbstractEventLoop, tasks: Tasks, dialer: Dial) -> tuple[str, str]:
    """An image's media type and its bytes in base64."""
    try:
        parts = urlsplit(url)
        origin, _ = parse_base_url(f"{parts.scheme}://{parts.netloc}")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not (target + origin.host).isascii() or not target.isprintable() or " " in target:
            raise ConfigError("the URL holds characters that must be escaped")
    except (ConfigError, ValueError) as error:
        raise _unfetched("", place, str(error)) from None
    pool = Pool(origin, loop, tasks, max_idle=0, dialer=dialer)
    try:
        head = f"GET {target} HTTP/1.1\r\nhost: {origin.authority}\r\naccept: image/*, application/pdf\r\n\r\n"
        answer = await fetch(pool, head.encode(), limit=FETCHED, timeout=FETCH_SECONDS)
    except FetchError as error:
        raise _unfetched(origin.authority, place, str(error)) from None
    finally:
        await pool.close()
    if answer.status != 200:
        raise _unfetched(origin.authority, place, f"the answer has the status {answer.status}")
    if not answer.content_type.startswith(("image/", "application/pdf", "audio/", "video/")):
        raise _unfetched(origin.authority, place, f"the answer is of the type {answer.content_type[:60] or 'none'}")
    return answer.content_type, base64.b64encode(answer.body).decode()


def _unfetched(host: str, place: str, why: str) -> Refusal:
    where = f" at {host[:100]}" if host else ""
    return invalid_request(
        f"'{place}': the file{where} could not be fetched: {why.rstrip('.')}.",
        param=place or None,
        code="image_not_fetched",
    )
