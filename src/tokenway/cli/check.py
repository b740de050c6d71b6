"""`tokenway check`: whether the configuration is right."""

from __future__ import annotations

import json
import os

from tokenway.cli.options import AsJson, ConfigFile
from tokenway.cli.output import print_json
from tokenway.compose.commands import check_configuration


def check(*, config: ConfigFile = None, as_json: AsJson = False) -> int:
    """Check the configuration: what is wrong, where, and the nearest valid name.

    Reads the file and the environment as `tokenway serve` would, and starts
    nothing. Exit status 1 when the configuration cannot be used.

    For example:
      tokenway check
      tokenway check --config tokenway.yaml --json
    """
    checked = check_configuration(config, os.environ)
    if as_json:
        print_json(json.loads(checked.json))
    else:
        print(checked.text)
    return 0 if checked.ok else 1
