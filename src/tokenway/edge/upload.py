"""A request's body that may be large: in memory up to a bound, beyond it in a file that is mapped and not held.

A form with a recording in it is passed on as it is; what is read of it are a few small fields, wherever they
stand. The file has no name in the file system and is gone with the process.
"""

from __future__ import annotations

import mmap
import tempfile
from typing import IO, Final

from tokenway.wire.limits import MIB

IN_MEMORY: Final = MIB
"""Bytes of a body that are kept in memory; most forms without a file are far smaller."""

Content = bytes | mmap.mmap


class Upload:
    """The body of one request while it arrives."""

    __slots__ = ("_file", "_parts", "size")

    def __init__(self) -> None:
        self.size = 0
        self._parts: list[bytes] = []
        self._file: IO[bytes] | None = None

    def add(self, data: bytes) -> None:
        """A piece of the body; raises OSError where there is no room for it."""
        self.size += len(data)
        if self._file is not None:
            self._file.write(data)
            return
        self._parts.append(data)
        if self.size > IN_MEMORY:
            self._file = tempfile.TemporaryFile(prefix="tokenway-upload-")  # noqa: SIM115 - lives as long as the request
            self._file.writelines(self._parts)
            self._parts.clear()

    def content(self) -> Content:
        """The whole body."""
        if self._file is None:
            return b"".join(self._parts)
        self._file.flush()
        return mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)

    def drop(self) -> None:
        """Lets go of it; a mapping that is still in use stays until its last user is done."""
        self._parts.clear()
        if self._file is not None:
            self._file.close()
            self._file = None
