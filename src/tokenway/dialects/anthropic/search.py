"""Other vendors' web search as Anthropic's own tool, with what both know of it.

Sources: Anthropic API reference, Web search tool; OpenAI API reference, `web_search` and `web_search_options`; Gemini
API reference, `googleSearch`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

_decode: Final = msgspec.json.Decoder().decode

SEARCHES: Final = (
    *("web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11"),
    *("googleSearch", "google_search"),
)
"""Other vendors' types of a web search."""
SEARCH_OPTIONS: Final = "web_search_options"
"""OpenAI's member that lets a chat model search."""
_LIVE: Final = "external_web_access"
"""OpenAI's member that keeps a search to what is stored, where it is false."""
_PLACE: Final = ("city", "region", "country", "timezone")


def is_live(raw: msgspec.Raw) -> bool:
    """Whether a search may read the web as it is now: Anthropic's does nothing else."""
    options = _decode(raw)
    return not isinstance(options, dict) or options.get(_LIVE) is not False


def search_tool(raw: msgspec.Raw, hosted: str, drop: Callable[[str], None]) -> dict[str, Any]:
    """The tool. `raw` is another vendor's, or the options of one; what Anthropic has nothing for is declared."""
    options = _decode(raw)
    if isinstance(options, dict) and isinstance(options.get(hosted), dict):
        options = options[hosted]
    shape: dict[str, Any] = {"type": "web_search_20250305", "name": "web_search"}
    for name, value in options.items() if isinstance(options, dict) else ():
        if name in {"type", "name"} or value in (None, {}, []):
            continue
        if name == "user_location" and isinstance(value, dict):
            shape[name] = _location(value)
        elif name in {"excludeDomains", "exclude_domains"}:
            shape["blocked_domains"] = value
        elif name == "filters" and isinstance(value, dict) and set(value) <= {"allowed_domains"}:
            shape |= value
        else:
            drop(name)
    return shape


def _location(given: dict[str, Any]) -> dict[str, Any]:
    """Where the user is; OpenAI's chat has it one level deeper."""
    inner = given.get("approximate")
    place = inner if isinstance(inner, dict) else given
    return {"type": "approximate", **{name: place[name] for name in _PLACE if place.get(name)}}
