"""Options that several commands share, each with its one help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

AsJson = Annotated[bool, Parameter("--json", help="Print JSON.", show_default=False)]
ConfigFile = Annotated[
    Path | None,
    Parameter("--config", help="Configuration file [otherwise TOKENWAY_CONFIG, ./tokenway.yaml, the user's]."),
]
DataDir = Annotated[
    Path | None,
    Parameter("--data-dir", help="Data directory [otherwise TOKENWAY_DATA_DIR, $XDG_DATA_HOME/tokenway]."),
]
