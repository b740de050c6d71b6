"""Bodies while they arrive: in memory, or in a file that nobody can see."""

from __future__ import annotations

import gc
import io
import mmap
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tokenway.edge.upload import IN_MEMORY, Body, Upload
from tokenway.model.errors import Refusal

LIMIT = 4 * IN_MEMORY


def added(body: Body, *pieces: bytes, limit: int = LIMIT) -> Body:
    """The body with these pieces."""
    for piece in pieces:
        body.add(piece, limit)
    return body


@pytest.mark.parametrize("kind", [Body, Upload])
def test_a_body_is_its_pieces(kind: type[Body]) -> None:
    """One of them is not copied."""
    piece = b"x" * 100
    assert added(kind(), piece).take() is piece
    assert added(kind(), b"a", b"", b"bc").take() == b"abc"
    assert kind().take() == b""


@pytest.mark.parametrize("kind", [Body, Upload])
def test_a_body_that_was_taken_is_not_held(kind: type[Body]) -> None:
    """Its size is still known."""
    body = added(kind(), b"abc")
    body.take()
    assert (body.take(), body.size) == (b"", 3)


@pytest.mark.parametrize("kind", [Body, Upload])
@pytest.mark.parametrize("sizes", [(11,), (10, 1), (5, 5, 1)])
def test_a_body_has_a_bound(kind: type[Body], sizes: tuple[int, ...]) -> None:
    """Just that is taken, and one byte more is refused."""
    assert len(added(kind(), b"x" * 10, limit=10).take()) == 10
    with pytest.raises(Refusal) as caught:
        added(kind(), *[b"x" * size for size in sizes], limit=10)
    assert (caught.value.problem.status, caught.value.problem.type.value) == (413, "payload_too_large")


def test_a_small_form_stays_in_memory() -> None:
    """Up to the bound itself."""
    assert isinstance(added(Upload(), b"x" * (IN_MEMORY - 1), b"y").take(), bytes)


def test_a_large_form_is_a_mapped_file() -> None:
    """From one byte more on; what came before and after is in it, in order."""
    content = added(Upload(), b"a" * IN_MEMORY, b"b", b"c" * IN_MEMORY).take()
    assert isinstance(content, mmap.mmap)
    assert content[:] == b"a" * IN_MEMORY + b"b" + b"c" * IN_MEMORY
    content.close()


def test_a_large_form_has_a_bound_too() -> None:
    """Its file does not grow beyond it."""
    body = added(Upload(), b"x" * (IN_MEMORY + 1))
    with pytest.raises(Refusal) as caught:
        added(body, b"x" * IN_MEMORY * 3)
    assert caught.value.problem.status == 413


def test_the_file_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can open it, and nothing is left when the process is killed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    body = added(Upload(), b"x" * (IN_MEMORY + 1))
    assert list(tmp_path.iterdir()) == []
    body.drop()


@pytest.mark.parametrize("size", [3, IN_MEMORY + 1])
def test_a_body_that_is_dropped_is_gone(size: int) -> None:
    """Also twice, and one whose client left before it was whole: a file that nobody closes would warn."""
    body = added(Upload(), b"x" * size)
    body.drop()
    body.drop()
    assert body.take() == b""
    added(Upload(), b"x" * size)
    gc.collect()


class Full(io.BytesIO):
    """A file on a full disk: it fails at a write, or only when what was buffered is written."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self._at = at

    def write(self, data: Any, /) -> int:
        """Fails, or buffers."""
        if self._at == "write":
            raise OSError(28, "No space left on device")
        return len(data)

    def flush(self) -> None:
        """Fails."""
        raise OSError(28, "No space left on device")

    def close(self) -> None:
        """Flushes first, as files do."""
        super().close()
        raise OSError(28, "No space left on device")


def no_folder(**_: Any) -> io.BytesIO:
    """There is no folder for files."""
    raise FileNotFoundError("no usable temporary directory")


@pytest.mark.parametrize(
    "make", [no_folder, lambda **_: Full("write"), lambda **_: Full("flush")], ids=["no folder", "write", "flush"]
)
def test_a_form_that_there_is_no_room_for_is_refused(
    make: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """507 that says that a retry helps, whether it shows at once or at the end; the log has the reason."""
    monkeypatch.setattr(tempfile, "TemporaryFile", make)
    body = Upload()
    with pytest.raises(Refusal) as caught:
        added(body, b"x" * (IN_MEMORY + 1)).take()
    problem = caught.value.problem
    assert (problem.status, problem.code, problem.should_retry) == (507, "insufficient_storage", True)
    assert "could not be kept" in caplog.text
    body.drop()
