"""`tokenway import`: configurations of other gateways as one of ours."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tokenway.cli.errors import CommandError
from tokenway.cli.options import AsJson
from tokenway.cli.output import print_json, say
from tokenway.compose.commands import import_litellm_file


def litellm(
    file: Annotated[Path, Parameter(help="The proxy's config.yaml.")],
    /,
    *,
    output: Annotated[
        Path | None, Parameter(help="Where the new file goes [otherwise standard output]; it must not exist.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Convert the configuration of a LiteLLM proxy.

    Writes the new configuration, and lists on standard error what has no
    counterpart. Keys stay names of environment variables; the variables must
    be set where the new file is used.

    For example:
      tokenway import litellm config.yaml --output tokenway.yaml
      tokenway import litellm config.yaml --json
    """
    made = import_litellm_file(file)
    if output is not None:
        try:
            with output.open("x", encoding="utf-8") as target:
                target.write(made.text)
        except OSError as error:
            raise CommandError(f"cannot write {output}: {error.strerror}") from None
    if as_json:
        listed = [{"path": each.path, "reason": each.reason} for each in made.unmapped]
        print_json({"configuration": made.text, "unmapped": listed})
        return 0
    if output is None:
        sys.stdout.write(made.text)
    if made.unmapped:
        say("Not carried over, or not as it was:")
    for each in made.unmapped:
        say(f"  {each.path}: {each.reason}")
    if output is not None:
        say(f"Wrote {output}; `tokenway check --config {output}` says whether it can be used here.")
    return 0
