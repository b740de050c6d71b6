"""What requests say of the conversation that they belong to: readers of headers and of members of the body.

A *carrier* reads one thing that a request may say. Whatever a client writes there, it reads a text or nothing, and
never raises. Which carriers are asked in which order is the table in `runs`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from tokenway.dialects.base import UNREADABLE, RunFields
from tokenway.model.request import NO_JSON
from tokenway.wire.percent import unquote

GUESS: Final = "~"
"""How the id of a run begins that nobody named, and that was told from what its requests have in common."""
ID_MAX: Final = 256
"""Characters of an id that are kept; of a longer one a digest is."""
DIGEST: Final = "sha256-"
"""How the digest begins that stands for an id which is too long, or not printable."""
CLASSES: Final = frozenset({"main", "subagent", "workflow", "compaction", "auxiliary"})
"""Classes of requests, by Claude Code's names: the conversation with the user, an agent's part in it or in a workflow,
a summary of it, and what a client asks beside it. Any other word says nothing."""


class _Metadata(msgspec.Struct):
    session_id: msgspec.Raw = NO_JSON
    user_id: msgspec.Raw = NO_JSON


class _CodexTurn(msgspec.Struct):
    """`x-codex-turn-metadata`."""

    session_id: msgspec.Raw = NO_JSON
    thread_id: msgspec.Raw = NO_JSON
    parent_thread_id: msgspec.Raw = NO_JSON
    turn_id: msgspec.Raw = NO_JSON
    root_turn_id: msgspec.Raw = NO_JSON
    request_kind: msgspec.Raw = NO_JSON


_NO_METADATA: Final = _Metadata()
_NO_TURN: Final = _CodexTurn()
_NO_MEMBERS: Final[Mapping[str, msgspec.Raw]] = {}
_text_in: Final = msgspec.json.Decoder(str).decode
_metadata_in: Final = msgspec.json.Decoder(_Metadata).decode
_turn_in: Final = msgspec.json.Decoder(_CodexTurn).decode
_members_in: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

_USER_SESSION: Final = "_session_"
"""What stands before the session in Claude Code's `user_…_account_…_session_…`."""
_TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_CODEX: Final = frozenset(
    {b"session-id", b"thread-id", b"x-codex-turn-metadata", b"x-codex-window-id", b"x-codex-installation-id"}
)
_BAGGAGE_MAX: Final = 8192
"""Bytes of `baggage` that are read, as many as W3C asks for."""


class Said:
    """One request's headers and members, the latter decoded when they are first asked for.

    `chain` is the id of the first response of the chain that the request goes on with, where that is known.
    """

    __slots__ = ("_baggage", "_members", "_metadata", "_turn", "chain", "fields", "headers")

    def __init__(self, headers: Mapping[bytes, bytes], fields: RunFields, chain: str) -> None:
        self.headers = headers
        self.fields = fields
        self.chain = chain
        self._metadata: _Metadata | None = None
        self._members: Mapping[str, msgspec.Raw] | None = None
        self._turn: _CodexTurn | None = None
        self._baggage: dict[str, str] | None = None

    @property
    def metadata(self) -> _Metadata:
        """The body's `metadata`."""
        if self._metadata is None:
            self._metadata = _read(_metadata_in, self.fields.metadata, _NO_METADATA)
        return self._metadata

    @property
    def members(self) -> Mapping[str, msgspec.Raw]:
        """The body's `client_metadata`, in which Codex repeats its headers."""
        if self._members is None:
            self._members = _read(_members_in, self.fields.client_metadata, _NO_MEMBERS)
        return self._members

    @property
    def turn(self) -> _CodexTurn:
        """Codex's own words on the turn, which are JSON in a header, or in a text of the body."""
        if self._turn is None:
            header = self.headers.get(b"x-codex-turn-metadata")
            written = header or _text(self.members.get("x-codex-turn-metadata", NO_JSON)).encode()
            self._turn = _read(_turn_in, written, _NO_TURN)
        return self._turn

    @property
    def baggage(self) -> Mapping[str, str]:
        """W3C's `baggage`, by its keys."""
        if self._baggage is None:
            found = self._baggage = {}
            for member in self.headers.get(b"baggage", b"")[:_BAGGAGE_MAX].decode("latin-1").split(","):
                key, is_pair, value = member.partition(";")[0].partition("=")
                if is_pair:
                    found.setdefault(key.strip(), unquote(value.strip()))
        return self._baggage

    @property
    def is_codex(self) -> bool:
        """Whether Codex asks, whose `traceparent` is that of its connection."""
        headers = self.headers
        return headers.get(b"originator", b"").startswith(b"codex") or not _CODEX.isdisjoint(headers)


class Carrier(NamedTuple):
    """Reads one thing that a request may say; empty where it does not. `reads` is where it looks (see `places_in`)."""

    read: Callable[[Said], str | bytes]
    reads: frozenset[bytes]


def kept(value: str | bytes) -> str:
    """An id as it is kept: itself, or a digest where it is too long, not printable, or looks like a guess."""
    if isinstance(value, bytes):
        try:
            text = value.decode()
        except UnicodeDecodeError:
            return digest(value)
    else:
        text = value
    if len(text) <= ID_MAX and text.isprintable() and not text.startswith(GUESS):
        return text.strip()
    return digest(text.encode("utf-8", "surrogatepass"))


def guess(name: str) -> str:
    """The id of a run that nobody named: what it was told from, as `kept` gave it, behind the mark."""
    return GUESS + (name if len(name) < ID_MAX else digest(name.encode()))


def digest(data: bytes) -> str:
    """What stands for an id that is not kept as it is."""
    return DIGEST + hashlib.sha256(data).hexdigest()[:32]


def _read(decode: Callable[[Any], Any], text: bytes | msgspec.Raw, absent: Any) -> Any:
    """What a decoder makes of JSON; `absent` for none, and for what is not what it should be."""
    if not text:
        return absent
    try:
        return decode(text)
    except UNREADABLE:
        return absent


def _text(value: msgspec.Raw) -> str:
    """The text that a member holds; empty where it holds none."""
    found: str = _read(_text_in, value, "")
    return found


# -- one place each --------------------------------------------------------------------------------------

_BODY: Final = b"body "
"""What stands before the name of a member of the body, where places are named; no header has such a name."""
_MEMBERS: Final = tuple((name, _BODY + name.encode()) for name in RunFields.__struct_fields__)
_CHAIN: Final = b"chain "


def places_in(said: Said) -> list[bytes]:
    """Where a request says anything: its headers, the members of its body, and whether it goes on with a chain."""
    found = list(said.headers)
    fields = said.fields
    found += [place for name, place in _MEMBERS if getattr(fields, name) is not NO_JSON]
    if said.chain:
        found.append(_CHAIN)
    return found


def header(name: str) -> Carrier:
    """A header."""
    key = name.encode()
    return Carrier(lambda said: said.headers.get(key, b""), frozenset({key}))


def member(name: str) -> Carrier:
    """A text in the body."""
    return Carrier(lambda said: _text(getattr(said.fields, name)), frozenset({_BODY + name.encode()}))


def in_metadata(name: str) -> Carrier:
    """A text in the body's `metadata`."""
    return Carrier(lambda said: _text(getattr(said.metadata, name)), frozenset({_BODY + b"metadata"}))


def in_baggage(key: str) -> Carrier:
    """A member of W3C's `baggage`."""
    return Carrier(lambda said: said.baggage.get(key, ""), frozenset({b"baggage"}))


def word(carrier: Carrier) -> Carrier:
    """A class of requests, if it is one of CLASSES."""

    def read(said: Said) -> str:
        found = kept(carrier.read(said)).lower()
        return found if found in CLASSES else ""

    return Carrier(read, carrier.reads)


def _chain(said: Said) -> str:
    if said.chain:
        return said.chain
    value = said.fields.conversation
    return _text(value) or _text(_read(_members_in, value, _NO_MEMBERS).get("id", NO_JSON))


def _user_session(said: Said) -> str:
    user = _text(said.metadata.user_id)
    if user.startswith("{"):
        return _text(_read(_metadata_in, user.encode("utf-8", "replace"), _NO_METADATA).session_id)
    return user.rpartition(_USER_SESSION)[2] if _USER_SESSION in user else ""


def _trace(said: Said) -> bytes:
    found = _TRACEPARENT.fullmatch(said.headers.get(b"traceparent", b""))
    if found is None or said.is_codex or not found.group(1).strip(b"0"):
        return b""
    return found.group(1)


chain: Final = Carrier(_chain, frozenset({_CHAIN, _BODY + b"conversation"}))
"""The first response of a chain, or OpenAI's `conversation`: an id, or an object with one."""
user_session: Final = Carrier(_user_session, frozenset({_BODY + b"metadata"}))
"""The session in Anthropic's `metadata.user_id` as Claude Code fills it: behind a word, or in JSON."""
trace: Final = Carrier(_trace, frozenset({b"traceparent"}))
"""The trace of `traceparent`, which is one request of a user's to a program, but for Codex."""


# -- sessions that name the one they work for ------------------------------------------------------------


def alone(session: Carrier, parent: Carrier) -> Carrier:
    """A session without a parent."""
    return Carrier(lambda said: b"" if parent.read(said) else session.read(said), session.reads)


def below(session: Carrier, parent: Carrier) -> Carrier:
    """A session that has a parent."""
    return Carrier(lambda said: session.read(said) if parent.read(said) else b"", session.reads)


# -- Claude Code -----------------------------------------------------------------------------------------

claude_agent: Final = header("x-claude-code-agent-id")
_claude_compaction: Final = header("x-claude-code-compaction")


def _class_of_claude(said: Said) -> str:
    if _claude_compaction.read(said):
        return "compaction"
    return "subagent" if claude_agent.read(said) else ""


claude_class: Final = Carrier(_class_of_claude, claude_agent.reads | _claude_compaction.reads)
"""What Claude Code's other headers tell of the class, where it does not name it."""


# -- Codex -----------------------------------------------------------------------------------------------

_CLIENT: Final = frozenset({_BODY + b"client_metadata"})


def codex(name: str) -> Carrier:
    """A header of Codex's, or the member of `client_metadata` that is called the same."""
    own = header(name)
    return Carrier(lambda said: own.read(said) or _text(said.members.get(name, NO_JSON)), own.reads | _CLIENT)


def codex_turn(name: str) -> Carrier:
    """A member of Codex's words on the turn, or of `client_metadata`."""
    return Carrier(
        lambda said: _text(getattr(said.turn, name)) or _text(said.members.get(name, NO_JSON)),
        _CLIENT | {b"x-codex-turn-metadata"},
    )


codex_subagent: Final = codex("x-openai-subagent")
_parent_header: Final = codex("x-codex-parent-thread-id")
_parent_told: Final = codex_turn("parent_thread_id")
_window: Final = codex("x-codex-window-id")
_kind: Final = codex_turn("request_kind")


def _class_of_codex(said: Said) -> str:
    subagent, kind = kept(codex_subagent.read(said)), kept(_kind.read(said))
    if subagent == "compact" or kind == "compaction":
        return "compaction"
    if subagent == "memory_consolidation" or kind in {"prewarm", "memory"}:
        return "auxiliary"
    if subagent or codex_parent.read(said):
        return "subagent"
    return "main" if kind == "turn" else ""


codex_parent: Final = Carrier(
    lambda said: _parent_header.read(said) or _parent_told.read(said), _parent_header.reads | _parent_told.reads
)
"""The thread that this one works for."""
codex_window: Final = Carrier(lambda said: kept(_window.read(said)).rpartition(":")[0], _window.reads)
"""The thread of `x-codex-window-id`, which is `<thread>:<generation>`."""
codex_class: Final = Carrier(_class_of_codex, codex_subagent.reads | _kind.reads | codex_parent.reads)
"""The class that Codex's words for agents and kinds of requests come to."""


# -- Helicone --------------------------------------------------------------------------------------------

_path: Final = header("helicone-session-path")


def _steps(said: Said) -> str:
    steps = [step for step in kept(_path.read(said)).split("/") if step]
    return "/" + "/".join(steps) if steps else ""


path: Final = Carrier(_steps, _path.reads)
"""Helicone's path, from which its agents are told: `/plan/step` works for `/plan`."""
path_above: Final = Carrier(lambda said: _steps(said).rpartition("/")[0], _path.reads)
"""The path that this one is below."""
