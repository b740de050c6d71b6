"""A changed configuration is built whole and swapped in; one that cannot be used changes nothing.

The file is looked at twice a second (time of change, size and inode, so that an editor's rename counts),
because that works on every file system, and at once when `trigger` is called (SIGHUP). A change counts once
two looks in a row agree about it, so a file that is still being written is not read half.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Final

from tokenway.control.config import Loaded
from tokenway.control.findings import Severity
from tokenway.model.settings import RESTART_ONLY, Settings
from tokenway.model.snapshot import Snapshot

INTERVAL: Final = 0.5
"""Seconds between two looks at the file."""

_Mark = tuple[str, int, int, int]


class Reloader:
    """Watches one configuration.

    `find` says which file is in force now, `read` reads it, `build` makes a snapshot of its settings (and may
    raise ValueError), `swap` publishes it, `say` takes a line for the operator. `current` is what the process was
    started with, and what runs at first, unless `latest` is something that was read later.
    """

    def __init__(
        self,
        *,
        current: Loaded,
        find: Callable[[], Path | None],
        read: Callable[[Path | None], Loaded],
        build: Callable[[Settings], Snapshot],
        swap: Callable[[Snapshot], None],
        say: Callable[[str], None],
        interval: float = INTERVAL,
        latest: Loaded | None = None,
    ) -> None:
        self._started = current.demand()
        latest = latest or current
        self._settings = latest.demand()
        self._path = latest.path
        self.version = latest.version
        """The published configuration that is in force here; 0 where there is none."""
        self.fault = ""
        """Why what was read last is not in force; empty when it is."""
        self._find = find
        self._read = read
        self._build = build
        self._swap = swap
        self._say = say
        self._interval = interval
        self._mark = _mark(latest.path)
        self._asked = asyncio.Event()

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._settings

    def trigger(self) -> None:
        """Asks for a reload now, whether the file looks changed or not; safe in a signal handler of the loop."""
        self._asked.set()

    async def run(self) -> None:
        """Watches until it is cancelled."""
        seen = self._mark
        while True:
            was_asked = await self._wait()
            path = self._find()
            mark, seen = seen, _mark(path)
            if was_asked or (seen != self._mark and seen == mark):
                self._mark = seen
                # Reading a large file takes long enough to hold up everything else in this process.
                self.apply(await asyncio.to_thread(self._read, path), path)

    async def read_again(self) -> bool:
        """Reads everything now; returns whether it was swapped in."""
        path = self._find()
        self._mark = _mark(path)
        return self.apply(await asyncio.to_thread(self._read, path), path)

    def apply(self, loaded: Loaded, path: Path | None) -> bool:
        """Swaps in what was read, or says why the old stays; returns whether it was swapped."""
        if path is None and self._path is not None:
            self.fault = f"{self._path} is gone; the configuration that was read from it stays in force"
            self._say(self.fault)
            return False
        for finding in loaded.findings:
            if finding.severity is not Severity.NOTE:
                self._say(str(finding))
        if loaded.settings is None:
            self.fault = "; ".join(str(each) for each in loaded.findings if each.severity is Severity.ERROR)
            self._say("the configuration was not changed: correct the errors above")
            return False
        try:
            snapshot = self._build(loaded.settings)
        except ValueError as error:
            self.fault = str(error)
            self._say(f"the configuration was not changed: {error}")
            return False
        self.version, self.fault = loaded.version, ""
        self._swap(snapshot)
        for name in changed_at_start_only(self._started, loaded.settings):
            self._say(f"{name} has changed and takes effect with the next start")
        self._settings, self._path = loaded.settings, path
        self._say(f"the configuration was read again from {path or 'the environment'}: version {snapshot.version}")
        return True

    async def _wait(self) -> bool:
        """Until it is time to look or somebody asks; returns whether somebody asked."""
        try:
            async with asyncio.timeout(self._interval):
                await self._asked.wait()
        except TimeoutError:
            return False
        self._asked.clear()
        return True


def changed_at_start_only(old: Settings, new: Settings) -> list[str]:
    """The paths of the settings that differ and are read at the start only."""
    return [path for path in RESTART_ONLY if attrgetter(path)(old) != attrgetter(path)(new)]


def _mark(path: Path | None) -> _Mark | None:
    """What tells one state of the file from another; None without a file."""
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return str(path), status.st_mtime_ns, status.st_size, status.st_ino
