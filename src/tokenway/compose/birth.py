"""`python -m tokenway.compose.birth MODULE LEASH`: the beginning of every process that the supervisor starts.

Its arguments are the module that says what the process does, and the descriptor of its leash.
"""

from __future__ import annotations

import gc
import importlib
import sys
from typing import Final

COLLECT_AFTER: Final = 50_000
"""Objects between two collections: what is imported stays, and an exchange leaves no cycles behind."""


def main() -> None:
    """Imports the module and runs it."""
    gc.set_threshold(COLLECT_AFTER)  # before the imports, which would be looked through some hundred times
    module, leash = sys.argv[1:]
    importlib.import_module(module).main(int(leash))


if __name__ == "__main__":
    main()
