"""`tokenway doctor`: a diagnosis of this installation."""

from __future__ import annotations

import os
import sys
from typing import Final

from tokenway.cli.options import AsJson, ConfigFile, DataDir
from tokenway.cli.output import print_json, wants_colour
from tokenway.compose.commands import data_directory
from tokenway.compose.diagnosis import Level, Probe
from tokenway.compose.doctor import diagnose

_COLOURS: Final = {Level.OK: "\x1b[32m", Level.WARN: "\x1b[33m", Level.FAIL: "\x1b[31m"}
_PLAIN: Final = "\x1b[0m"
_NAME_WIDTH: Final = 16


def doctor(*, config: ConfigFile = None, data_dir: DataDir = None, as_json: AsJson = False) -> int:
    """Diagnose this installation: what is fine, what is not, and what to do.

    Asks PostgreSQL and Valkey too, where the configuration names them. Changes
    nothing and calls no provider. Exit status 1 when anything fails.

    For example:
      tokenway doctor
      tokenway doctor --json
    """
    probes = diagnose(config, data_directory(data_dir, os.environ), os.environ)
    if as_json:
        print_json(
            [
                {"name": probe.name, "level": probe.level, "detail": probe.detail, "advice": probe.advice or None}
                for probe in probes
            ]
        )
    else:
        colour = wants_colour(stream_is_terminal=sys.stdout.isatty())
        for probe in probes:
            print(_line(probe, colour=colour))
    return 1 if any(probe.level is Level.FAIL for probe in probes) else 0


def _line(probe: Probe, *, colour: bool) -> str:
    level = f"{probe.level:<4}"
    if colour:
        level = f"{_COLOURS[probe.level]}{level}{_PLAIN}"
    advice = f": {probe.advice}" if probe.advice else ""
    return f"{level}  {probe.name:<{_NAME_WIDTH}}  {probe.detail}{advice}"
