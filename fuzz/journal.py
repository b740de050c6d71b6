"""A damaged journal gives only records that were written, and every byte is read, reported or a torn end.

Reading it in steps, before and after its writer is gone, gives the same as reading it at once.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random
from struct import pack
from zlib import crc32

import msgspec

from tokenway.metering.ledger import Expired, Line, Record, Reserved, Settled, Settlement
from tokenway.metering.stamps import Stamps
from tokenway.model.usage import Usage
from tokenway.store.journal import JournalFault, JournalReader

LINE = Line(1, "lab/mock", Settlement.DELIVERED, Usage(100, output_text=51), 1_234, 200)
WRITTEN: tuple[Record, ...] = (
    Reserved("gen-1", 1.0, "key_a", "default", 5_000),
    Settled(
        *("gen-1", 2.0, "key_a", "default", "mock", "lab/mock", "chat", "openai_chat", True),
        *(Settlement.DELIVERED, 1_234, 200, (LINE,), Stamps(received=1.0, end=2.0)),
    ),
    Expired("gen-2", 3.0),
)


def journal(records: tuple[Record, ...]) -> bytes:
    """The bytes of a file with these records, by the layout in the module's docstring."""
    body = pack("<8sII16s", b"tokenway", 1, 1, b"0123456789abcdef")
    parts = [body, pack("<I", crc32(body))]
    for record in records:
        payload = msgspec.msgpack.encode(record)
        parts.append(pack("<II", len(payload), crc32(payload, len(payload))) + payload)
    return b"".join(parts)


SEEDS = (journal(WRITTEN), journal(WRITTEN * 4), journal(WRITTEN[:1]), journal(()))


def harness(data: bytes, chance: Random) -> None:
    """Writes the data to a file and reads it twice."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "w-00000001.journal"
        path.write_bytes(data)
        try:
            whole = JournalReader(path)
        except JournalFault:
            return
        start = whole.offset
        records = whole.read(1_000_000, final=True)
        assert all(record in WRITTEN for record in records)
        frames = sum(len(msgspec.msgpack.encode(record)) + 8 for record in records)
        damage = sum(corruption.length for corruption in whole.corruptions)
        assert start + frames + damage + whole.torn_bytes == max(start, len(data))
        whole.close()

        steps = JournalReader(path)
        found: list[Record] = []
        for _ in range(chance.randrange(4)):
            found += steps.read(chance.randrange(1, 4))
        while some := steps.read(chance.randrange(1, 4), final=True):
            found += some
        assert found == records
        assert steps.corruptions == whole.corruptions
        assert steps.torn_bytes == whole.torn_bytes
        steps.close()
