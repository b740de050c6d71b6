"""The journal: what was acknowledged is read again, whatever happens to the process or the file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from struct import pack
from zlib import crc32

import msgspec
import pytest

from tests.records import reserved, settled
from tokenway.metering.ledger import Record
from tokenway.store.journal import (
    RECORD_BYTES_MAX,
    Corruption,
    JournalFault,
    JournalFull,
    JournalReader,
    JournalWriter,
    journal_files,
)

HEADER_BYTES = 36


def written(directory: Path, count: int, **options: int) -> list[Record]:
    """Writes `count` records with a writer that is closed afterwards."""
    writer = JournalWriter(directory, "w", **options)
    records: list[Record] = [settled(number) if number % 2 else reserved(number) for number in range(count)]
    for record in records:
        writer.append(record)
    writer.close()
    return records


def read_all(reader: JournalReader, *, final: bool = True) -> list[Record]:
    """Everything a reader has to give."""
    records: list[Record] = []
    while some := reader.read(7, final=final):
        records += some
    return records


def test_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    """What is appended is read back, equal and in order."""
    records = written(tmp_path, 50)

    assert read_all(JournalReader(journal_files(tmp_path)[0])) == records


def test_a_reader_follows_a_file_that_grows(tmp_path: Path) -> None:
    """A reader at the end of the file sees each record once, after it was appended."""
    writer = JournalWriter(tmp_path, "w")
    reader = JournalReader(writer.path)

    assert reader.read(10) == []
    writer.append(reserved(1))
    assert reader.read(10) == [reserved(1)]
    assert reader.backlog == 0
    writer.append(settled(1))
    assert reader.backlog == writer.size - reader.offset > 0
    assert reader.read(10) == [settled(1)]
    assert reader.read(10) == []


def test_a_second_reader_goes_on_from_an_offset(tmp_path: Path) -> None:
    """The offset after some records is where another reader finds the rest."""
    records = written(tmp_path, 9)
    first = JournalReader(journal_files(tmp_path)[0])
    head = first.read(4)
    second = JournalReader(first.path, first.offset)

    assert head + read_all(second) == records
    assert second.identity == first.identity


def test_a_full_file_is_followed_by_the_next(tmp_path: Path) -> None:
    """No file grows beyond the limit, and the files together hold every record in order."""
    records = written(tmp_path, 60, rotate_bytes=1_000)
    files = journal_files(tmp_path)
    readers = [JournalReader(path) for path in files]

    assert len(files) > 5
    assert max(path.stat().st_size for path in files) <= 1_000
    assert [reader.sequence for reader in readers] == list(range(1, len(files) + 1))
    assert len({reader.owner for reader in readers}) == 1
    assert [record for reader in readers for record in read_all(reader)] == records


def test_a_writer_of_the_same_name_takes_a_new_file_and_another_identity(tmp_path: Path) -> None:
    """A restarted worker neither appends to nor shares an identity with what was there, even for a reused name."""
    written(tmp_path, 1)
    first = JournalReader(journal_files(tmp_path)[0])
    second = JournalWriter(tmp_path, "w")
    assert second.path.name == "w-00000002.journal"

    second.path.unlink()
    first.path.unlink()
    third = JournalWriter(tmp_path, "w")

    assert third.path.name == first.path.name
    assert JournalReader(third.path).identity != first.identity


def test_the_lock_tells_whether_the_writer_lives(tmp_path: Path) -> None:
    """A file is locked until its writer rotates away from it or closes it."""
    writer = JournalWriter(tmp_path, "w", rotate_bytes=400)
    first = JournalReader(writer.path)
    assert not first.writer_is_gone()
    while writer.path == first.path:
        writer.append(reserved(1))
    second = JournalReader(writer.path)

    assert first.writer_is_gone()
    assert not second.writer_is_gone()
    writer.close()
    assert second.writer_is_gone()


def test_a_torn_end_waits_while_the_writer_lives_and_is_counted_when_it_is_gone(tmp_path: Path) -> None:
    """Half a frame is not a record and not damage; it is dropped only when nothing can complete it."""
    records = written(tmp_path, 3)
    path = journal_files(tmp_path)[0]
    os.truncate(path, path.stat().st_size - 5)
    reader = JournalReader(path)

    assert read_all(reader, final=False) == records[:2]
    assert (reader.torn_bytes, reader.corruptions) == (0, [])
    assert reader.read(10, final=True) == []
    assert reader.torn_bytes > 0
    assert reader.corruptions == []
    assert reader.backlog == 0


def test_damage_in_the_middle_is_reported_and_passed_over(tmp_path: Path) -> None:
    """A flipped bit costs the frame it is in, is reported with its place, and nothing else is lost."""
    records = written(tmp_path, 9)
    path = journal_files(tmp_path)[0]
    reader = JournalReader(path)
    reader.read(4)
    start = reader.offset
    reader.read(1)
    end = reader.offset
    data = bytearray(path.read_bytes())
    data[start + 20] ^= 0x10
    path.write_bytes(data)
    damaged = JournalReader(path)

    assert read_all(damaged, final=False) == records[:4] + records[5:]
    assert damaged.corruptions == [Corruption(str(path), start, end - start)]


def test_a_good_frame_that_is_no_record_is_damage(tmp_path: Path) -> None:
    """What a checksum covers and nobody can read costs itself only, whatever is read together with it."""
    records = written(tmp_path, 9)
    path = journal_files(tmp_path)[0]
    reader = JournalReader(path)
    reader.read(4)
    start = reader.offset
    strange = b"\xc0" * 20
    frame = pack("<II", len(strange), crc32(strange, len(strange))) + strange
    data = path.read_bytes()
    path.write_bytes(data[:start] + frame + data[start:])
    damaged = JournalReader(path)

    assert read_all(damaged) == records
    assert damaged.corruptions == [Corruption(str(path), start, len(frame))]


def test_the_largest_record_is_read_wherever_it_stands(tmp_path: Path) -> None:
    """A frame of the greatest length fits into what is read at a time, also behind others."""
    largest = reserved(2, id="")
    room = RECORD_BYTES_MAX - len(msgspec.msgpack.encode(largest)) - 4
    records: list[Record] = [
        reserved(1),
        reserved(2, id="x" * room),
        settled(1),
        reserved(3, id="y" * room),
        settled(3),
    ]
    writer = JournalWriter(tmp_path, "w")
    for record in records:
        writer.append(record)
    writer.close()

    assert len(msgspec.msgpack.encode(records[1])) == RECORD_BYTES_MAX
    assert read_all(JournalReader(writer.path)) == records


def test_a_damaged_length_does_not_hide_what_follows(tmp_path: Path) -> None:
    """A length that points beyond the end looks like a torn frame, but the records behind it are found."""
    records = written(tmp_path, 5)
    path = journal_files(tmp_path)[0]
    reader = JournalReader(path)
    reader.read(2)
    data = bytearray(path.read_bytes())
    data[reader.offset + 1] ^= 0x40
    path.write_bytes(data)
    damaged = JournalReader(path)

    assert read_all(damaged) == records[:2] + records[3:]
    assert len(damaged.corruptions) == 1


def test_damage_at_the_end_of_a_living_file_is_passed_over_once_more_follows(tmp_path: Path) -> None:
    """A bad last frame is kept back until a good one follows it."""
    writer = JournalWriter(tmp_path, "w")
    writer.append(reserved(1))
    with writer.path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    reader = JournalReader(writer.path)

    assert reader.read(10) == []
    assert reader.read(10) == []
    assert reader.corruptions == []
    writer.append(reserved(2))
    assert reader.read(10) == [reserved(2)]
    assert len(reader.corruptions) == 1


def test_a_damaged_header_still_gives_the_records(tmp_path: Path) -> None:
    """Who wrote the file is not known any more, but what was acknowledged is read, and the damage is reported."""
    records = written(tmp_path, 4)
    path = journal_files(tmp_path)[0]
    path.write_bytes(b"\0" * 10 + path.read_bytes()[10:])
    reader = JournalReader(path)

    assert reader.owner == "unknown:w-00000001.journal"
    assert read_all(reader) == records
    assert reader.corruptions == [Corruption(str(path), 0, HEADER_BYTES)]


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    """A file whose good header names a later version is not guessed at."""
    body = pack("<8sII16s", b"tokenway", 2, 1, b"o" * 16)
    path = tmp_path / "w-00000001.journal"
    path.write_bytes(body + pack("<I", crc32(body)))

    with pytest.raises(JournalFault, match="newer version"):
        JournalReader(path)


def test_a_record_beyond_the_limit_is_refused_and_leaves_no_trace(tmp_path: Path) -> None:
    """A record too long to be told from damage is the caller's error."""
    writer = JournalWriter(tmp_path, "w")
    with pytest.raises(ValueError, match="longer than"):
        writer.append(reserved(1, id="x" * RECORD_BYTES_MAX))
    writer.append(reserved(2))

    assert JournalReader(writer.path).read(10) == [reserved(2)]


def test_a_closed_writer_acknowledges_nothing(tmp_path: Path) -> None:
    """After close every append raises."""
    writer = JournalWriter(tmp_path, "w")
    writer.close()

    with pytest.raises(JournalFull):
        writer.append(reserved(1))


def test_a_directory_that_cannot_be_written_is_full(tmp_path: Path) -> None:
    """The first file's failure is the same error as a full disk."""
    with pytest.raises(JournalFull, match="cannot start"):
        JournalWriter(tmp_path, "no-such-folder/w")


FILLS_THE_DISK = textwrap.dedent("""
    import resource, sys
    from pathlib import Path
    from tests.records import reserved
    from tokenway.store.journal import JournalFull, JournalWriter

    writer = JournalWriter(Path(sys.argv[1]), "w")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, resource.RLIM_INFINITY))
    count = failures = 0
    while failures < 3:
        try:
            writer.append(reserved(count))
            count += 1
        except JournalFull:
            failures += 1
    size = writer.path.stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    writer.append(reserved(count))
    print(count + 1, size)
""")


def test_a_write_that_finds_no_room_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """A short write is undone, the caller is told, and writing goes on when there is room again."""
    done = subprocess.run(
        [sys.executable, "-c", FILLS_THE_DISK, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    count, size = map(int, done.stdout.split())
    reader = JournalReader(journal_files(tmp_path)[0])

    assert size < 1_000
    assert read_all(reader) == [reserved(number) for number in range(count)]
    assert (reader.corruptions, reader.torn_bytes) == ([], 0)


ACKNOWLEDGES = textwrap.dedent("""
    import os, sys
    from pathlib import Path
    from tests.records import settled
    from tokenway.store.journal import JournalWriter

    writer = JournalWriter(Path(sys.argv[1]), "w", rotate_bytes=20_000)
    number = 0
    while True:
        number += 1
        writer.append(settled(number))
        os.write(1, b"%d\\n" % number)
""")


@pytest.mark.parametrize("acknowledged", [1, 37, 400, 1_003])
def test_a_killed_writer_loses_nothing_it_acknowledged(tmp_path: Path, acknowledged: int) -> None:
    """Every record whose append returned before a kill -9 is read afterwards, in order and whole."""
    with subprocess.Popen([sys.executable, "-c", ACKNOWLEDGES, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = 0
        while told < acknowledged:
            told = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split(b"\n")
    told = max([told, *(int(number) for number in rest[:-1])])
    readers = [JournalReader(path) for path in journal_files(tmp_path)]
    records = [record for reader in readers for record in read_all(reader)]

    assert process.returncode == -signal.SIGKILL
    assert all(reader.writer_is_gone() for reader in readers)
    assert len(records) >= told >= acknowledged
    assert records == [settled(number) for number in range(1, len(records) + 1)]
    assert [corruption for reader in readers for corruption in reader.corruptions] == []
