"""Whatever happens to a journal's bytes, it gives what was written, or says what it could not give."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.records import reserved, settled
from tokenway.metering.ledger import Expired, Record
from tokenway.store.journal import JournalReader, JournalWriter

RECORDS = st.lists(
    st.one_of(
        st.builds(reserved, st.integers(0, 99), key=st.text(max_size=300)),
        st.builds(settled, st.integers(0, 99), model=st.text(max_size=30), run=st.text(max_size=30)),
        st.builds(Expired, id=st.text(max_size=20), at=st.floats(allow_nan=False)),
    ),
    max_size=8,
)


def journal_bytes(folder: str, records: list[Record]) -> tuple[Path, bytes, int]:
    """Writes the records; returns the file, its bytes and the length of its header."""
    writer = JournalWriter(Path(folder), "w")
    header = writer.size
    for record in records:
        writer.append(record)
    writer.close()
    return writer.path, writer.path.read_bytes(), header


@given(RECORDS, st.data())
def test_a_cut_journal_is_a_prefix(records: list[Record], data: st.DataObject) -> None:
    """Cutting the file anywhere behind its header leaves a prefix of the records, and no corruption."""
    with tempfile.TemporaryDirectory() as folder:
        path, content, header = journal_bytes(folder, records)
        path.write_bytes(content[: data.draw(st.integers(header, len(content)))])
        reader = JournalReader(path)
        found = reader.read(1_000, final=True)
        reader.close()

    assert found == records[: len(found)]
    assert reader.corruptions == []


@given(RECORDS, st.data())
def test_a_flipped_bit_is_a_prefix_or_reported(records: list[Record], data: st.DataObject) -> None:
    """One wrong bit costs at most one record; when it is not the last, the damage is reported."""
    with tempfile.TemporaryDirectory() as folder:
        path, content, header = journal_bytes(folder, records)
        damaged = bytearray(content)
        bit = data.draw(st.integers(0, 8 * len(content) - 1))
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        reader = JournalReader(path)
        found = reader.read(1_000, final=True)
        reader.close()

    if bit // 8 < header:
        assert found == records
        assert len(reader.corruptions) == 1
        return
    assert len(found) == len(records) - 1
    lost = next((place for place, record in enumerate(found) if record != records[place]), len(found))
    assert found == records[:lost] + records[lost + 1 :]
    assert reader.corruptions or lost == len(records) - 1


@given(RECORDS, st.lists(st.integers(1, 5), max_size=5))
def test_reading_while_it_grows_gives_each_record_once(records: list[Record], steps: list[int]) -> None:
    """However reads and appends alternate, and however few are asked for, the records come once and in order."""
    with tempfile.TemporaryDirectory() as folder:
        writer = JournalWriter(Path(folder), "w")
        reader = JournalReader(writer.path)
        found: list[Record] = []
        for place, record in enumerate(records):
            writer.append(record)
            found += reader.read(steps[place % len(steps)] if steps else 1)
        writer.close()
        found += reader.read(1_000, final=reader.writer_is_gone())
        reader.close()

    assert found == records
