"""Runs in the environment of aiconfigurator: lines of JSON with its arguments come in, TTFT and TPOT in ms go out."""

from __future__ import annotations

import json
import logging
import sys


def main() -> None:
    """One answer for each line, in order."""
    logging.disable(logging.CRITICAL)
    out, sys.stdout = sys.stdout, sys.stderr
    from aiconfigurator.cli.api import cli_estimate  # noqa: PLC0415 - it prints while it is imported

    for line in sys.stdin:
        try:
            found = cli_estimate(**json.loads(line))
            answer = {"ttft": found.ttft, "tpot": found.tpot}
        except Exception as error:  # noqa: BLE001 - whatever it raises is its answer
            answer = {"reason": f"{type(error).__name__}: {str(error).splitlines()[0][:100] if str(error) else ''}"}
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    main()
