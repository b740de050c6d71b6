"""What a snapshot means for requests, worked out once: routes to models, and targets that stand ready.

A *route* is a planned model with all that does not depend on the request; a *target* is an endpoint's pool and
the bytes of the head of a request to it. Both are made at the first use and live as long as the snapshot, so that a
call costs a look-up and a join.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import msgspec

from tokenway import __version__
from tokenway.dialects.anthropic.hosted import hosted_body, hosted_path
from tokenway.dialects.base import Format
from tokenway.dialects.bedrock import sign
from tokenway.dialects.embeddings import PATHS, SPEAKERS
from tokenway.dialects.gemini.request import EMBEDDINGS
from tokenway.dialects.registry import FORMATS
from tokenway.edge.doors import Door
from tokenway.edge.reply import header_value
from tokenway.metering.estimate import Bound, asks_more, bounds_of
from tokenway.model.catalog import BEARER, AwsKeys, Dialect, Endpoint, Operation, Provider, Quirks
from tokenway.model.errors import ErrorType, Problem, Refusal
from tokenway.model.snapshot import Snapshot
from tokenway.routing.names import counted_name, may_ask
from tokenway.routing.plan import Plan, plan, wrong_operation
from tokenway.routing.preferences import NO_WISHES, Wishes
from tokenway.upstream.pool import Pool, Pools

JSON_TYPE: Final = b"content-type: application/json\r\n"
_USER_AGENT: Final = f"tokenway/{__version__}"
ROUTES_MAX: Final = 10_000
"""Routes kept at a time: callers can invent names for providers that take any model."""


class Route:
    """A `plan` for one model, one operation, callers of one dialect. `label` is the header line that names the model.

    `crosses` is whether an endpoint speaks another dialect than the caller, `all_cross` whether every one does.
    `bounds` say what a call can cost, and `dearer_bounds` one that asks for another class of service; None where those
    are the same. `counted` is the name by which the model is counted, `others` that of each model that may serve in its
    place, by the ids of its endpoints, and `bounded` are those of them that have limits of their own.
    """

    __slots__ = (
        "_crossing",
        "_formats",
        "_providers",
        "all_cross",
        "bounded",
        "bounds",
        "can_stream",
        "counted",
        "crosses",
        "dearer_bounds",
        "endpoints",
        "label",
        "model",
        "others",
        "plan",
    )

    def __init__(self, name: str, planned: Plan, door: Door, snapshot: Snapshot) -> None:
        """Raises Refusal (400) where no endpoint has the operation in any dialect that can be made of the caller's."""
        dialect, operation, providers = door.dialect, door.operation, snapshot.providers
        is_input_tokens = operation is Operation.COUNT and dialect is Dialect.OPENAI_RESPONSES
        self._providers = providers
        spoken = {each.id: spoken_by(providers.get(each.provider), door) for each in planned.endpoints}
        able = tuple(each for each in planned.endpoints if _can_ask(spoken[each.id], door))
        if not able:
            raise Refusal(wrong_operation(name, operation))
        planned = planned.among(able)
        self.plan = planned
        self.model = planned.model
        self.counted = counted_name(snapshot, planned.model)
        others = {identity: counted_name(snapshot, model) for identity, model in planned.others.items()}
        self.others = {identity: other for identity, other in others.items() if other != self.counted}
        self.bounded = frozenset(other for other in self.others.values() if other in snapshot.model_limits)
        self.endpoints = tuple(_as_asked(each, FORMATS[spoken[each.id]]) for each in planned.endpoints)
        self.can_stream = operation in _STREAMED
        self.bounds = bounds_of(planned.endpoints, operation)
        dearer = bounds_of(planned.endpoints, operation, any_service=True)
        self.dearer_bounds = None if dearer == self.bounds else dearer
        self.label = b"x-tokenway-model: %b\r\n" % header_value(name)
        self._formats = {each.id: FORMATS[spoken[each.id]] for each in self.endpoints}
        self._crossing = {
            each.id: spoken[each.id] is not dialect
            or (operation is Operation.COMPLETION and not _completes(each))
            or (operation in EMBEDDINGS and bool(self.quirks_of(each).embeddings))
            or (is_input_tokens and not self.quirks_of(each).input_tokens)
            for each in self.endpoints
        }
        self.crosses = any(self._crossing.values())
        self.all_cross = all(self._crossing.values())

    def grouped(self, among: Sequence[Endpoint]) -> list[tuple[Endpoint, ...]]:
        """Some of the endpoints by the model that they belong to, in the order of models; none of these is empty."""
        groups = self.plan.groups
        if len(groups) == 1:
            return [tuple(among)]
        names = [{each.id for each in group} for group in groups]
        found = (tuple(each for each in among if each.id in group) for group in names)
        return [group for group in found if group]

    def bounds_for(self, body: object) -> tuple[Bound, ...]:
        """What a call with this body can cost."""
        dearer = self.dearer_bounds
        return dearer if dearer is not None and asks_more(body) else self.bounds

    def is_crossing(self, endpoint: Endpoint) -> bool:
        """Whether requests to an endpoint and its answers are converted."""
        return self._crossing[endpoint.id]

    def format_of(self, endpoint: Endpoint) -> Format:
        """The dialect in which an endpoint is asked."""
        return self._formats[endpoint.id]

    def fetches(self, endpoint: Endpoint) -> bool:
        """Whether media by URL may be fetched for an endpoint that is asked in another dialect than the caller's."""
        provider = self._providers.get(endpoint.provider)
        return provider is not None and provider.fetch_urls and self.is_crossing(endpoint)

    def quirks_of(self, endpoint: Endpoint) -> Quirks:
        """Where its provider differs from its dialect."""
        provider = self._providers.get(endpoint.provider)
        return Quirks() if provider is None else provider.quirks


_STREAMED: Final = frozenset({Operation.CHAT, Operation.COMPLETION})
"""What can be asked for as a stream and given whole."""
_CONVERTED: Final = frozenset({Operation.CHAT, Operation.COMPLETION, Operation.COUNT})
"""What can be made of any dialect in any other; counts are estimated. The rest only passes, but for embeddings."""


def _can_ask(spoken: Dialect, door: Door) -> bool:
    """Whether what a door asks for can be asked in a dialect."""
    if spoken is door.dialect or door.operation in _CONVERTED:
        return True
    return door.operation in EMBEDDINGS and {spoken, door.dialect} <= SPEAKERS


def _as_asked(endpoint: Endpoint, form: Format) -> Endpoint:
    """An endpoint as far as the dialect goes in which it is asked: some have no way to go on with an answer."""
    able = endpoint.capabilities
    if form.has_prefill or not able.prefill:
        return endpoint
    return msgspec.structs.replace(endpoint, capabilities=msgspec.structs.replace(able, prefill=False))


def _completes(endpoint: Endpoint) -> bool:
    """Whether legacy completions can be asked for as they are."""
    return endpoint.capabilities.completions and Operation.COMPLETION in endpoint.operations


def asked_for(operation: Operation) -> Operation:
    """What a converted request asks for: legacy completions are asked for as chat, embeddings as a batch."""
    return _ASKED_FOR.get(operation, operation)


_ASKED_FOR: Final = {Operation.COMPLETION: Operation.CHAT, Operation.EMBED_CONTENT: Operation.EMBEDDING}


def spoken_by(provider: Provider | None, door: Door) -> Dialect:
    """The dialect to ask a provider in: the caller's own where it speaks that, else its first.

    Who speaks the Responses API has OpenAI's other operations at the same address.
    """
    if provider is None or provider.address(door.dialect) is not None:
        return door.dialect
    if provider.dialect is Dialect.OPENAI_RESPONSES and door.operation not in _CONVERTED:
        return Dialect.OPENAI_CHAT
    return provider.dialect


Signer = Callable[[bytes, float], bytes]
"""(body, Unix time) to the header lines that sign a request."""
Shaper = Callable[[bytes], bytes]
"""A body of the dialect to the provider's own form of it."""


class Target:
    """One endpoint for one operation in one dialect. `label` is the header line that names the endpoint.

    `defaults` are header lines by name that are sent unless the caller's own take their place. `shape` is None where
    the provider takes its dialect's bodies as they are.
    """

    __slots__ = ("_headers", "_heads", "_lines", "_signer", "defaults", "label", "pool", "shape")

    def __init__(
        self,
        endpoint: Endpoint,
        pool: Pool,
        heads: list[bytes],
        defaults: dict[bytes, bytes],
        signer: Signer | None = None,
        shape: Shaper | None = None,
    ) -> None:
        self.pool = pool
        self.shape = shape
        self.label = b"x-tokenway-endpoint: %b\r\n" % header_value(endpoint.id)
        self.defaults = defaults
        self._heads = heads
        self._signer = signer
        self._headers: object = None
        self._lines = b""

    def more_lines(self, headers: object) -> bytes | None:
        """The lines that were kept for a caller's headers, if these are the last ones; else None.

        A connection's requests share their headers as long as its head repeats itself.
        """
        return self._lines if headers is self._headers else None

    def keep_lines(self, headers: object, lines: bytes) -> bytes:
        """Keeps the header lines that go to the endpoint for a caller's headers, and gives them back."""
        self._headers, self._lines = headers, lines
        return lines

    @property
    def is_signed(self) -> bool:
        """Whether each request is signed, instead of carrying a key."""
        return self._signer is not None

    def signed(self, body: bytes | list[bytes | memoryview], more: bytes, now: float) -> list[bytes | memoryview]:
        """As `request`, with a signature made at Unix time `now`."""
        if self._signer is None:
            raise RuntimeError("nothing signs requests to this endpoint")
        whole = body if isinstance(body, bytes) else b"".join(body)
        return self.request(whole, more + self._signer(whole, now))

    def request(
        self, body: bytes | list[bytes | memoryview], more: bytes = JSON_TYPE, credential: int = 0
    ) -> list[bytes | memoryview]:
        """The request to send: head, then body. `credential` is the number of the provider's key to ask with.

        `more` are further header lines, each with its end; the body's type is one of them. A key that is gone since the
        request was planned is replaced by the first one.
        """
        head = self._heads[credential if credential < len(self._heads) else 0]
        if isinstance(body, bytes):
            return [b"%b%bcontent-length: %d\r\n\r\n" % (head, more, len(body)), body]
        return [b"%b%bcontent-length: %d\r\n\r\n" % (head, more, sum(map(len, body))), *body]


_Key = tuple[str, Operation, Dialect, tuple[str, ...] | None, tuple[str, ...] | None]


class Routes:
    """The routes and targets of one snapshot."""

    def __init__(self, snapshot: Snapshot, pools: Pools) -> None:
        self._snapshot = snapshot
        self._pools = pools
        self._routes: dict[_Key, Route] = {}
        self._targets: dict[tuple[str, Operation, Dialect, bool, str], Target] = {}

    def plan(
        self,
        name: str,
        door: Door,
        more: tuple[str, ...],
        wishes: Wishes,
        models: tuple[str, ...] | None = None,
    ) -> Route:
        """A route with a caller's own fallbacks and preferences; raises Refusal as `routing.plan.plan` does."""
        return Route(name, self._plan(name, door, wishes, models, more), door, self._snapshot)

    def find(
        self,
        name: str,
        door: Door,
        allowed: tuple[str, ...] | None = None,
        models: tuple[str, ...] | None = None,
    ) -> Route:
        """The route for a model's name, at endpoints and with fallbacks that a key may use.

        Raises Refusal as `routing.plan.plan` does.
        """
        key = (name, door.operation, door.dialect, allowed, models)
        route = self._routes.get(key)
        if route is None:
            wishes = NO_WISHES if allowed is None else Wishes(allowed=allowed)
            route = Route(name, self._plan(name, door, wishes, models), door, self._snapshot)
            if len(self._routes) >= ROUTES_MAX:
                self._routes.clear()
            self._routes[key] = route
        return route

    def _plan(
        self, name: str, door: Door, wishes: Wishes, models: tuple[str, ...] | None, more: tuple[str, ...] = ()
    ) -> Plan:
        snapshot = self._snapshot
        return plan(snapshot, name, door.operation, more, wishes, partial(may_ask, snapshot, models))

    def target(
        self, endpoint: Endpoint, operation: Operation, form: Format, *, stream: bool, query: str = ""
    ) -> Target:
        """The target; raises Refusal (503) when the endpoint's provider is not there. `query` is put behind it."""
        key = (endpoint.id, operation, form.dialect, stream, query)
        target = self._targets.get(key)
        if target is None:
            provider = self._snapshot.providers.get(endpoint.provider)
            if provider is None:
                message = f"The provider '{endpoint.provider}' is not enabled."
                raise Refusal(Problem(503, ErrorType.PROVIDER_UNAVAILABLE, message))
            if len(self._targets) >= ROUTES_MAX:
                self._targets.clear()
            path = _own_path(provider.quirks, endpoint, form, operation, stream=stream)
            path = path or form.path(operation, endpoint.upstream_model, stream) + query
            target = self._targets[key] = self._make(provider, endpoint, form, operation, path)
        return target

    def _make(self, provider: Provider, endpoint: Endpoint, form: Format, operation: Operation, path: str) -> Target:
        elsewhere = dict(provider.elsewhere).get(operation)
        pool, prefix = self._pools.get(elsewhere or provider.address(form.dialect) or provider.base_url)
        own = {name.lower() for name, _ in provider.headers}
        defaults = {
            header_value(name): b"%b: %b\r\n" % (header_value(name), header_value(value))
            for name, value in form.headers
            if name not in own
        }
        lines = [
            f"POST {prefix}{path} HTTP/1.1".encode(),
            b"host: " + pool.origin.authority.encode(),
            b"user-agent: " + _USER_AGENT.encode(),
            b"accept-encoding: identity",
            *(b"%b: %b" % (header_value(name), header_value(value)) for name, value in provider.headers),
        ]
        heads = []
        header = provider.header(form.dialect)
        for secret in provider.api_keys or (None,):
            credential = []
            if secret is not None:
                scheme = "Bearer " if header == BEARER else ""
                credential.append(b"%b: %b" % (header_value(header), header_value(scheme + secret.reveal())))
            heads.append(b"\r\n".join([*lines, *credential, b""]))
        signer = None
        if provider.aws is not None and not provider.api_keys and form.dialect is Dialect.BEDROCK:
            signer = make_signer(provider.aws, prefix + path, pool.origin.authority)
        shape = None
        version = provider.quirks.hosted_version
        if version and form.dialect is Dialect.ANTHROPIC:
            shape = partial(hosted_body, operation, version=version)
        return Target(endpoint, pool, heads, defaults, signer, shape)


def _own_path(quirks: Quirks, endpoint: Endpoint, form: Format, operation: Operation, *, stream: bool) -> str:
    """The path of a provider that has another than its dialect; empty where it is the dialect's."""
    if operation in EMBEDDINGS:
        return PATHS.get(quirks.embeddings, "")
    if quirks.hosted_version and form.dialect is Dialect.ANTHROPIC:
        return hosted_path(operation, endpoint.upstream_model, stream)
    return ""


def make_signer(keys: AwsKeys, path: str, host: str) -> Signer:
    """What signs the requests to one path of Amazon's."""
    credentials = sign.Credentials(keys.access_key, keys.secret_key, keys.token)

    def signer(body: bytes, now: float) -> bytes:
        call = sign.Call("POST", path, (("host", host),), sign.payload_hash(body))
        lines = sign.sign(call, credentials, keys.region, now)
        return b"".join(b"%b: %b\r\n" % (header_value(name), header_value(value)) for name, value in lines)

    return signer
