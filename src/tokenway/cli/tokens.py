"""`tokenway tokens`: counts the tokens of a text without a network."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from tokenway.cli.options import AsJson
from tokenway.cli.output import print_json
from tokenway.compose.local_status import count_tokens


def tokens(
    text: Annotated[str | None, Parameter(help="The text; from standard input when left out.")] = None,
    *,
    encoding: Annotated[str, Parameter(help="o200k_base (GPT-4o and later) or cl100k_base.")] = "o200k_base",
    as_json: AsJson = False,
) -> int:
    """Count the tokens of a text on this machine, to judge what a call will take.

    What a provider counts decides about money; another model's tokenizer counts differently.

    For example:
      tokenway tokens "How many tokens is this?"
      tokenway tokens --encoding cl100k_base < prompt.txt
    """
    found = count_tokens(sys.stdin.read() if text is None else text, encoding)
    if as_json:
        print_json({"tokens": found.tokens, "encoding": encoding, "source": found.source, "exact": found.is_exact})
    else:
        how = f"{encoding}, by {found.source}" if found.is_exact else "an estimate: a token for every four bytes"
        print(f"{found.tokens} tokens ({how})")
    return 0
