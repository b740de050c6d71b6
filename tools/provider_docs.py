"""Writes docs/providers.md from the table of known providers: `python -m tools.provider_docs [--check]`.

The rows come from `dialects/providers.py`; only the frame around them is written here. `--check` writes nothing
and fails when the page is not what would be written.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tokenway.dialects.known import KnownProvider
from tokenway.dialects.providers import KNOWN
from tokenway.model.catalog import Quirks
from tools.settings_docs import needs, table
from tools.tree import ROOT

PAGE: Final = Path("docs/providers.md")

_INTRODUCTION: Final = f"""\
# Providers

This page is written by `python -m tools.provider_docs` from `src/tokenway/dialects/providers.py`; change that, not it.

The {len(KNOWN)} providers below need no address: a variable, or a line under `providers` with a key, enables them. Any
other one takes `dialect` and `base_url` (see [configuration.md](configuration.md#providers)). GitHub Models is not
among them: GitHub shut it down on 30 July 2026.

A request in a wire format that its provider understands passes as it is; any other is translated into the provider's
own, which is the first of those listed. A written `base_url` stands for the first address, and for the others
that are the same one.

| wire format | what is added to the address |
| --- | --- |
| `openai_chat` | `/chat/completions`, `/completions`, `/embeddings` |
| `openai_responses` | `/responses` |
| `anthropic` | `/messages`, `/messages/count_tokens` |
| `gemini` | `/models/{{model}}:generateContent` and the like |
| `bedrock` | `/model/{{model}}/converse` and `/converse-stream` |
"""

_DIFFERENCES: Final = """\
## Differences

Where a provider is not quite what its wire format says. `providers.NAME.quirks` says otherwise for yours.
"""

_BUCKET: Final = """\
## What else they do

Beside chat, each at the path that OpenAI gave it (`rerank`: Cohere).
"""


def page() -> str:
    """The whole page."""
    differences = [(f"`{row.name}`", ", ".join(found)) for row in KNOWN.values() if (found := _differences(row))]
    services = [(f"`{row.name}`", ", ".join(row.services)) for row in KNOWN.values() if row.services]
    parts = [
        _INTRODUCTION,
        "## Addresses\n\n" + table(("name", "provider", "variables", "wire formats and addresses"), _addresses()),
        _DIFFERENCES + "\n" + table(("name", "differs in"), differences),
        _BUCKET + "\n" + table(("name", "services"), services),
    ]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Writes the page, or compares it; returns the exit status."""
    text = page()
    target = root / PAGE
    if "--check" in arguments:
        if target.is_file() and target.read_text(encoding="utf-8") == text:
            return 0
        print(f"{PAGE} is not current: run `python -m tools.provider_docs`")
        return 1
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return 0


def _addresses() -> list[tuple[str, ...]]:
    return [(f"`{row.name}`", row.title, needs(row), _spoken(row)) for row in KNOWN.values()]


def _spoken(row: KnownProvider) -> str:
    """Each address once, with the wire formats that are understood there and the header that carries the key."""
    places: dict[tuple[str, str], list[str]] = {(row.base_url, row.credential_header): [row.dialect]}
    for offer in row.speaks:
        places.setdefault((offer.base_url, offer.credential_header), []).append(offer.dialect)
    shown = []
    for (address, header), dialects in places.items():
        key = "" if row.is_keyless else f" (`{header}`)"
        shown.append(f"{', '.join(f'`{dialect}`' for dialect in dialects)}: `{address}`{key}")
    return "<br>".join(shown)


def _differences(row: KnownProvider) -> list[str]:
    """The quirks that are not the usual ones, as `name: value`."""
    usual = Quirks()
    return [
        f"`{field}: {str(value).lower()}`"
        for field in usual.__struct_fields__
        if (value := getattr(row.quirks, field)) != getattr(usual, field)
    ] + ([] if row.chats else ["no chat"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
