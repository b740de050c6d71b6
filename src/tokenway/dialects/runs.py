"""Which run of an agent a request belongs to, and who in it asks.

A *run* is what an agent makes of what its user asks: many calls, by the agent itself and by others that work for it.
Hardly a client says so in words of ours, but most name the conversation that a request belongs to. `SOURCES` is the
table of what is listened to, in this order. The run is the first of its rows that names one; who asks, for whom, in
which turn and of what class are each the first of its rows that says it, because a client may name the run by one
header and its agents by another. What names nothing in particular comes last, and is marked as a guess.

An id is a client's own text. It is kept where it is short and printable, and else a digest of it. It means nothing
beyond the key that the request came with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

import msgspec

from tokenway.dialects import carriers as c
from tokenway.dialects.base import RunFields
from tokenway.dialects.carriers import Carrier, Said, guess, header, kept, member, places_in
from tokenway.model.errors import Refusal
from tokenway.model.request import NO_JSON, Request, Role, Text

TYPE_MAX: Final = 64
"""Characters of what an agent says that it is."""
_WORKING: Final = frozenset({"subagent", "workflow"})
"""Classes of agents that work for another one."""
_TALKING: Final = frozenset({"", "main"})
"""Classes of the conversation with the user, which whoever works for another is not in."""
_TRUE: Final = frozenset({b"true", b"1"})


class Source(NamedTuple):
    """What one kind of client says. `is_guess` is for what a run can be told from, though it is no name of one."""

    client: str
    run: tuple[Carrier, ...] = ()
    agent: tuple[Carrier, ...] = ()
    parent: tuple[Carrier, ...] = ()
    agent_type: tuple[Carrier, ...] = ()
    turn: tuple[Carrier, ...] = ()
    request_class: tuple[Carrier, ...] = ()
    is_guess: bool = False


_session: Final = header("x-session-id")
_above: Final = header("x-parent-session-id")
_dynamo: Final = header("x-dynamo-session-id")
_above_dynamo: Final = header("x-dynamo-parent-session-id")

SOURCES: Final[tuple[Source, ...]] = (
    Source(
        "Tokenway",
        run=(header("x-tokenway-run"),),
        agent=(header("x-tokenway-agent"),),
        parent=(header("x-tokenway-parent"),),
        turn=(header("x-tokenway-turn"),),
        request_class=(c.word(header("x-tokenway-class")),),
    ),
    Source("OpenRouter", run=(member("session_id"), c.alone(_session, _above))),
    Source("Dynamo", run=(_above_dynamo, _dynamo), agent=(_dynamo,), parent=(_above_dynamo,)),
    Source(
        "Claude Code",
        run=(header("x-claude-code-session-id"),),
        agent=(c.claude_agent,),
        parent=(header("x-claude-code-parent-agent-id"),),
        agent_type=(header("x-claude-code-agent-type"),),
        turn=(header("x-claude-code-prompt-id"),),
        request_class=(c.word(header("x-claude-code-request-class")), c.claude_class),
    ),
    Source(
        "Codex",  # all threads of a session share it, those of its agents too
        run=(
            header("session-id"),
            header("session_id"),
            c.codex_turn("session_id"),
            header("conversation_id"),
            c.codex_parent,
            header("thread-id"),
            c.codex_turn("thread_id"),
            c.codex_window,
        ),
        agent=(header("thread-id"), c.codex_turn("thread_id"), c.codex_window),
        parent=(c.codex_parent,),
        agent_type=(c.codex_subagent,),
        turn=(c.codex_turn("root_turn_id"), c.codex_turn("turn_id")),
        request_class=(c.codex_class,),
    ),
    Source(
        "OpenCode",
        run=(_above, header("x-opencode-session"), header("x-session-affinity")),
        agent=(c.below(_session, _above), c.below(header("x-session-affinity"), _above)),
        parent=(_above,),
        turn=(header("x-opencode-request"),),
    ),
    Source(
        "LiteLLM",
        run=(
            member("litellm_session_id"),
            header("x-litellm-session-id"),
            member("litellm_trace_id"),
            header("x-litellm-trace-id"),
        ),
    ),
    Source("Helicone", run=(header("helicone-session-id"),), agent=(c.path,), parent=(c.path_above,)),
    Source("Langfuse", run=(c.in_baggage("langfuse_session_id"),)),
    Source("Portkey", run=(header("x-portkey-trace-id"),)),
    Source("xAI", run=(header("x-grok-conv-id"),)),
    Source("Qwen Code", run=(header("x-qwen-code-session-id"),)),
    Source("metadata", run=(c.in_metadata("session_id"), c.user_session)),
    Source(
        "W3C",
        run=(c.in_baggage("session.id"), c.in_baggage("gen_ai.conversation.id"), c.trace),
        agent=(c.in_baggage("gen_ai.agent.id"),),
        turn=(c.trace,),
    ),
    Source("the cache's key", run=(member("prompt_cache_key"),), is_guess=True),
    Source("a chain of responses", run=(c.chain,)),
)
"""Who says what, the first row first; `docs/runs.md` has it for readers."""

_FIELDS: Final = ("run", "agent", "parent", "agent_type", "turn", "request_class")
_READS: Final = [carrier.reads for source in SOURCES for field in _FIELDS for carrier in getattr(source, field)]
KNOWN: Final = frozenset().union(*_READS)
"""The headers that are listened to, and other places: a request that has none of them is passed over quickly."""
_OWN_FINAL: Final = b"x-tokenway-final"
_DYNAMOS_FINAL: Final = b"x-dynamo-session-final"
_PLANS: Final = 1024
"""Plans that are remembered: one for each set of places that clients say anything in."""


class Named(NamedTuple):
    """Where a request belongs; empty is what nobody told. See `metering.ledger.Trace` for what each means.

    `agent` is empty for the run's own, and an agent whose `parent` is the run's id works for that one.
    """

    run: str = ""
    agent: str = ""
    parent: str = ""
    agent_type: str = ""
    turn: str = ""
    request_class: str = ""
    final: bool = False


NOBODY: Final = Named()
"""Of a request that belongs to no run."""


class Asked(Protocol):
    """What is read of a request."""

    @property
    def fields(self) -> RunFields:
        """The members that name a conversation."""

    @property
    def chain(self) -> str:
        """The first response of the chain that it goes on with, where that is known; else empty."""

    def neutral(self) -> Request:
        """The request in the neutral form; raises Refusal."""


def name_run(headers: Mapping[bytes, bytes], request: Asked, *, guesses: bool = False) -> Named:
    """Where a request belongs. `guesses` is whether a run that nobody names is told by how its conversation begins.

    It never raises, whatever the headers and members hold.
    """
    fields = request.fields
    if (
        KNOWN.isdisjoint(headers)
        and fields.metadata is NO_JSON
        and fields.prompt_cache_key is NO_JSON
        and fields.session_id is NO_JSON
        and fields.client_metadata is NO_JSON
        and fields.conversation is NO_JSON
        and fields.litellm_session_id is NO_JSON
        and fields.litellm_trace_id is NO_JSON
        and not request.chain
    ):
        return Named(_beginning(request)) if guesses else NOBODY
    said = Said(headers, fields, request.chain)
    plan = _plan(KNOWN.intersection(places_in(said)))
    run = _run(plan, said) or (_beginning(request) if guesses else "")
    return _placed(run, plan, said) if run else NOBODY


class _Plan(NamedTuple):
    """The carriers that may tell a request anything, in the order of the table; `guesses` are those for its run."""

    run: tuple[Carrier, ...]
    guesses: frozenset[Carrier]
    agent: tuple[Carrier, ...]
    parent: tuple[Carrier, ...]
    agent_type: tuple[Carrier, ...]
    turn: tuple[Carrier, ...]
    request_class: tuple[Carrier, ...]


@lru_cache(_PLANS)
def _plan(places: frozenset[bytes]) -> _Plan:
    """Who is asked of a request that says something in these places: a client always says it in the same ones."""

    def asked(field: str) -> tuple[Carrier, ...]:
        carriers = (carrier for source in SOURCES for carrier in getattr(source, field))
        return tuple(carrier for carrier in carriers if not carrier.reads.isdisjoint(places))

    guesses = frozenset(carrier for source in SOURCES if source.is_guess for carrier in source.run)
    return _Plan(asked("run"), guesses, *(asked(field) for field in _FIELDS[1:]))


def _run(plan: _Plan, said: Said) -> str:
    for carrier in plan.run:
        value = carrier.read(said)
        if value and (name := kept(value)):
            return guess(name) if carrier in plan.guesses else name
    return ""


def _first(carriers: tuple[Carrier, ...], said: Said) -> str:
    for carrier in carriers:
        value = carrier.read(said)
        if value and (name := kept(value)):
            return name
    return ""


def _placed(run: str, plan: _Plan, said: Said) -> Named:
    """Where in its run a request belongs."""
    request_class = _first(plan.request_class, said)
    agent, parent = _first(plan.agent, said), ""
    if agent == run:
        agent = ""
    if agent:
        parent = _first(plan.parent, said)
        if parent == agent:
            parent = ""
        if not parent and request_class in _WORKING:
            parent = run
        if parent and request_class in _TALKING:
            request_class = "subagent"
    get = said.headers.get
    is_final = get(_OWN_FINAL, b"").lower() in _TRUE or get(_DYNAMOS_FINAL, b"").lower() in _TRUE
    agent_type = _first(plan.agent_type, said)[:TYPE_MAX]
    return Named(run, agent, parent, agent_type, _first(plan.turn, said), request_class, is_final)


def _beginning(request: Asked) -> str:
    """A guess at the run: a digest of what the model was told first, and of what its user said first."""
    try:
        messages = request.neutral().messages
    except Refusal:
        return ""
    told = hashlib.sha256()
    for message in messages:
        for part in message.parts:
            text = part.text.encode("utf-8", "surrogatepass") if isinstance(part, Text) else msgspec.json.encode(part)
            told.update(b"%b %d\n%b" % (message.role.value.encode(), len(text), text))
        if message.role is Role.USER:
            return guess(told.hexdigest()[:32])
    return ""
