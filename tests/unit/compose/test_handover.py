"""What a child is told over its leash, between the two ends of a real socket pair."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tokenway.compose.handover import hand_over, receive


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The supervisor's and the child's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_payload_comes_with_its_files(ends: tuple[socket.socket, socket.socket], tmp_path: Path) -> None:
    """In their order, open as they were, and not for the child's own children; however long the payload is."""
    ours, theirs = ends
    (tmp_path / "a").write_text("first")
    (tmp_path / "b").write_text("second")
    files = [os.open(tmp_path / name, os.O_RDONLY) for name in ("a", "b")]
    payload = bytes(range(256)) * 10_000
    sender = threading.Thread(target=hand_over, args=(ours, payload, tuple(files)))
    sender.start()
    received = receive(theirs)
    sender.join()
    assert received is not None
    assert received[0] == payload
    assert [os.read(file, 16) for file in received[1]] == [b"first", b"second"]
    assert not any(os.get_inheritable(file) for file in received[1])
    for file in (*files, *received[1]):
        os.close(file)


@pytest.mark.parametrize("sent", [b"", b"f", b"f\0\0\0\x09half"])
def test_a_supervisor_that_ends_before_has_told_nothing(ends: tuple[socket.socket, socket.socket], sent: bytes) -> None:
    """At once, in the middle, or before all of it was there."""
    ours, theirs = ends
    ours.sendall(sent)
    ours.close()
    assert receive(theirs) is None


def test_one_that_dies_with_something_unread_has_told_nothing(ends: tuple[socket.socket, socket.socket]) -> None:
    """Which the system tells as an error, and is the same as an end."""
    ours, theirs = ends
    theirs.sendall(b"never read")
    ours.close()
    assert receive(theirs) is None


def test_a_child_that_is_gone_is_an_error(ends: tuple[socket.socket, socket.socket]) -> None:
    """Whoever tells it, tells nobody."""
    ours, theirs = ends
    theirs.close()
    with pytest.raises(OSError, match="Broken pipe"):
        hand_over(ours, b"anything", (0,))
