"""The journal: one append-only file per worker, so that a killed worker loses nothing it acknowledged.

A file is a header and then frames. All integers are little-endian.

    header   magic 8 bytes · version u32 · sequence u32 · owner 16 bytes · CRC-32 of the 32 bytes before u32
    frame    length u32 · CRC-32 u32 · payload (one ledger record in MessagePack)

The CRC of a frame starts from its length, so a damaged length does not go unnoticed. A frame is written by
one `write` to a descriptor in append mode: a process that dies leaves whole frames and at most one torn
frame at the end, whose record nobody was told about. The page cache survives the process, not the machine:
there is no fsync, and a power cut may cost the last seconds.

A writer holds an exclusive `flock` on its current file. The file gets its name only after it is locked and
has its header, and a rotation locks the next file before it lets go of the last, so whoever sees a file that
is not locked knows that nothing will be added to it. The owner is random and belongs to one writer's life;
it is what tells a restarted worker of the same name from the one before.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from os import write
from pathlib import Path
from struct import Struct
from typing import Final
from zlib import crc32

import msgspec

from tokenway.metering.ledger import Record
from tokenway.model.errors import TokenwayError

SUFFIX: Final = ".journal"
VERSION: Final = 1
RECORD_BYTES_MAX: Final = 128 * 1024
"""A record is some hundred bytes; more than this in a length field is damage, not a record."""
ROTATE_BYTES: Final = 64 * 1024 * 1024

_MAGIC: Final = b"tokenway"
_HEADER: Final = Struct("<8sII16sI")
_FRAME: Final = Struct("<II")
_FRAME_BYTES: Final = _FRAME.size
_pack_frame: Final = _FRAME.pack
_unpack_frame: Final = _FRAME.unpack_from
_HEADER_BYTES: Final = _HEADER.size
_CHUNK_BYTES: Final = RECORD_BYTES_MAX + _FRAME_BYTES
_PAYLOAD_START: Final = re.compile(rb"(?:[\x91-\x9f]|\xdc..)\xa1[RSX]", re.DOTALL)
"""How a record's payload begins: an array whose first element is the tag. Finds frames after damage."""


class JournalFull(TokenwayError):
    """The record could not be written and is not in the journal; the caller must not acknowledge it."""


class JournalFault(TokenwayError):
    """The file cannot be used at all: it was written by a newer version."""


class Corruption(msgspec.Struct, frozen=True):
    """Bytes in the middle of a journal that are not what was written; `offset` and `length` in bytes."""

    path: str
    offset: int
    length: int


def journal_files(directory: Path) -> list[Path]:
    """The journals in `directory`, oldest first for each name."""
    return sorted(directory.glob(f"*{SUFFIX}"))


class JournalWriter:
    """Appends records; one writer per process, from one thread."""

    def __init__(self, directory: Path, name: str, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        """Creates `directory` when absent. Raises JournalFull when the first file cannot be made."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._name = name
        self._rotate_bytes = rotate_bytes
        self._owner = os.urandom(16)
        self._encode = msgspec.msgpack.Encoder().encode
        self._fd = -1
        self._size = 0
        self._size_max = rotate_bytes
        """0 when the next record must go to a new file."""
        self._path = directory
        self._rotate()

    @property
    def owner(self) -> str:
        """This writer's life, in hexadecimal; the same in all files it makes."""
        return self._owner.hex()

    @property
    def path(self) -> Path:
        """The file that is being written."""
        return self._path

    @property
    def size(self) -> int:
        """Bytes in the file that is being written."""
        return self._size

    def append(self, record: Record) -> None:
        """Writes `record`; when this returns, the record survives the death of the process.

        Raises JournalFull when it could not be written (the file is as it was before), and ValueError
        for a record longer than `RECORD_BYTES_MAX`.
        """
        payload = self._encode(record)
        length = len(payload)
        if length > RECORD_BYTES_MAX:
            raise ValueError(f"a record of {length} bytes is longer than {RECORD_BYTES_MAX}")
        size = length + _FRAME_BYTES
        if self._size + size > self._size_max:
            self._rotate()
        frame = _pack_frame(length, crc32(payload, length)) + payload
        try:
            written = write(self._fd, frame)
            while written < size:
                written += write(self._fd, frame[written:])
        except OSError as error:
            self._undo()
            raise JournalFull(f"cannot write {self._path}: {error.strerror}") from error
        self._size += size

    def close(self) -> None:
        """Lets go of the file, which tells the reader that nothing will follow."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _undo(self) -> None:
        """Cuts off what a failed write left, so that the next frame follows the last good one."""
        if self._fd < 0:
            return
        try:
            os.ftruncate(self._fd, self._size)
        except OSError:
            # The rest of a frame stays; the next record goes to a new file instead of behind it.
            self._size_max = 0

    def _rotate(self) -> None:
        """Starts the next file. The old one is let go only when the new one is in place."""
        sequence = self._next_sequence()
        path = self._directory / f"{self._name}-{sequence:08d}{SUFFIX}"
        hidden = path.with_name(f".{path.name}.{os.getpid()}")
        body = _HEADER.pack(_MAGIC, VERSION, sequence, self._owner, 0)[:-4]
        try:
            fd = os.open(hidden, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                if os.write(fd, body + crc32(body).to_bytes(4, "little")) != _HEADER_BYTES:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                # A link, not a rename: a file that another writer just made is never overwritten.
                path.hardlink_to(hidden)
            except OSError:
                os.close(fd)
                raise
            finally:
                hidden.unlink(missing_ok=True)
        except OSError as error:
            raise JournalFull(f"cannot start {path}: {error.strerror}") from error
        self.close()
        self._fd, self._path, self._size, self._size_max = fd, path, _HEADER_BYTES, self._rotate_bytes

    def _next_sequence(self) -> int:
        prefix = f"{self._name}-"
        taken = [
            int(number)
            for path in self._directory.glob(f"*{SUFFIX}")
            if path.name.startswith(prefix) and (number := path.name[len(prefix) : -len(SUFFIX)]).isdecimal()
        ]
        return max(taken, default=0) + 1


class JournalReader:
    """Reads a journal piece by piece while it grows, and after its writer is gone.

    `owner` and `sequence` come from the header. `corruptions` lists damage that was passed over, and
    `torn_bytes` counts the end of a frame that was never acknowledged.
    """

    def __init__(self, path: Path, offset: int = 0) -> None:
        """Starts at `offset`, or at the first record. Raises OSError, and JournalFault for a newer version."""
        self.path = path
        self.corruptions: list[Corruption] = []
        self.torn_bytes = 0
        self._decode = msgspec.msgpack.Decoder(Record).decode
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._stuck_size = -1
        try:
            self.owner, self.sequence, start = self._header()
        except JournalFault:
            os.close(self._fd)
            raise
        self.offset = max(offset, start)

    @property
    def identity(self) -> str:
        """The same for one file for ever, and never the same for another, whatever their names."""
        return f"{self.owner}-{self.sequence}"

    @property
    def backlog(self) -> int:
        """Bytes that were written and not read yet."""
        return max(0, os.fstat(self._fd).st_size - self.offset)

    def writer_is_gone(self) -> bool:
        """Whether nothing will be added any more. Ask before the last `read`, not after it."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        return True

    def read(self, max_records: int, *, final: bool = False) -> list[Record]:
        """The next records, at most `max_records`; an empty list when there is none yet.

        A torn frame at the end is left for the next call. `final` says that the writer is gone: then what
        is left after the last record is damage, or a torn frame, and is counted as such. Damage is passed
        over up to the next good frame and put into `corruptions`.
        """
        records: list[Record] = []
        while len(records) < max_records:
            data = os.pread(self._fd, _CHUNK_BYTES, self.offset)
            before = len(records)
            is_bad = self._take(data, records, max_records)
            if len(records) > before:
                # Read again from here: a frame that looked wrong may have been changing under our eyes.
                continue
            if not data or not (is_bad or final) or not self._pass_over(is_bad=is_bad, final=final):
                break
        return records

    def close(self) -> None:
        """Closes the file; the reader cannot be used afterwards."""
        os.close(self._fd)

    def _header(self) -> tuple[str, int, int]:
        """Owner, sequence and the offset of the first frame."""
        data = os.pread(self._fd, _HEADER_BYTES, 0)
        if len(data) == _HEADER_BYTES:
            magic, version, sequence, owner, checksum = _HEADER.unpack(data)
            if magic == _MAGIC and checksum == crc32(data[:-4]):
                if version > VERSION:
                    raise JournalFault(f"{self.path} was written by a newer version of Tokenway")
                return owner.hex(), sequence, _HEADER_BYTES
        # Not a header: the records behind it may still be good, and nobody else can own them.
        return f"unknown:{self.path.name}", 0, 0

    def _take(self, data: bytes, records: list[Record], max_records: int) -> bool:
        """Adds the whole frames at the front of `data`; True when it met one that is wrong."""
        size = len(data)
        payloads: list[bytes] = []
        start = 0
        is_bad = False
        for _ in range(max_records - len(records)):
            payload_at = start + _FRAME_BYTES
            if payload_at > size:
                break
            length, checksum = _unpack_frame(data, start)
            if not 0 < length <= RECORD_BYTES_MAX:
                is_bad = True
                break
            end = payload_at + length
            if end > size:
                break
            payload = data[payload_at:end]
            if crc32(payload, length) != checksum:
                is_bad = True
                break
            payloads.append(payload)
            start = end
        try:
            # All at once: that is faster than one after the other between the checks above.
            records.extend([*map(self._decode, payloads)])
        except msgspec.MsgspecError:
            is_bad = True
            start = self._take_decodable(payloads, records)
        self.offset += start
        return is_bad

    def _take_decodable(self, payloads: list[bytes], records: list[Record]) -> int:
        """Adds the records before the first that is not one; returns how many bytes their frames have."""
        size = 0
        for payload in payloads:
            try:
                records.append(self._decode(payload))
            except msgspec.MsgspecError:
                break
            size += _FRAME_BYTES + len(payload)
        return size

    def _pass_over(self, *, is_bad: bool, final: bool) -> bool:
        """Moves to the next good frame behind damage; False when there is nothing to go on with."""
        size = os.fstat(self._fd).st_size
        if size == self._stuck_size and not final:
            return False
        rest = os.pread(self._fd, size - self.offset, self.offset)
        found = self._next_frame(rest)
        if found is None and not final:
            self._stuck_size = size
            return False
        skipped = len(rest) if found is None else found
        if found is None and not is_bad:
            self.torn_bytes += skipped
        else:
            self.corruptions.append(Corruption(str(self.path), self.offset, skipped))
        self.offset += skipped
        return found is not None

    def _next_frame(self, data: bytes) -> int | None:
        """Where the first good frame after the start of `data` begins."""
        at = 9
        while match := _PAYLOAD_START.search(data, at):
            start = match.start()
            length, checksum = _FRAME.unpack_from(data, start - 8)
            payload = data[start : start + length]
            if length == len(payload) and crc32(payload, length) == checksum:
                try:
                    self._decode(payload)
                except msgspec.MsgspecError:
                    # A frame of a kind that this version does not know is damage as well.
                    at = start + 1
                    continue
                return start - 8
            at = start + 1
        return None
