"""Finding the weights, saying what is missing, and checking hashes without reading everything each time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from tokenway.local import models
from tokenway.local.models import (
    CHAT_WEIGHTS,
    EMBED_WEIGHTS,
    Finder,
    WeightsError,
    extra_model,
    extra_problem,
    file_sha256,
    is_runtime_installed,
    locate,
    missing,
    package_folder,
    verify,
    write_atomically,
)


@pytest.fixture
def installed(tmp_path: Path) -> Finder:
    """A finder for an installation whose weight files have the right sizes (and no content)."""
    for weights in (CHAT_WEIGHTS, EMBED_WEIGHTS):
        folder = tmp_path / weights.module
        folder.mkdir()
        with (folder / weights.name).open("wb") as file:
            file.truncate(weights.size)
    (tmp_path / "xllamacpp").mkdir()

    def find(module: str) -> Path | None:
        folder = tmp_path / module
        return folder if folder.is_dir() else None

    return find


def test_a_complete_installation_lacks_nothing(installed: Finder) -> None:
    """No sentence where everything is in place."""
    assert missing(find=installed) == []


def test_everything_is_missing_where_nothing_is_installed() -> None:
    """Three packages, three sentences, each with its command."""
    sentences = missing(find=lambda _: None)
    assert len(sentences) == 3
    assert "pip install 'tokenway[local]'" in sentences[0]
    assert all("tokenway local install" in sentence for sentence in sentences[1:])
    assert not is_runtime_installed(lambda _: None)


def test_a_file_of_the_wrong_size_is_named(installed: Finder) -> None:
    """A damaged weight file is not taken for the right one."""
    path = locate(CHAT_WEIGHTS, installed)
    assert path is not None
    path.write_bytes(b"GGUF")
    (sentence,) = missing(find=installed)
    assert str(path) in sentence
    assert "repair" in sentence


def test_a_package_without_its_file_counts_as_absent(installed: Finder) -> None:
    """What matters is the file."""
    path = locate(EMBED_WEIGHTS, installed)
    assert path is not None
    path.unlink()
    assert locate(EMBED_WEIGHTS, installed) is None
    assert len(missing(find=installed)) == 1


def test_finding_a_package_runs_none_of_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that fails on import is found all the same."""
    folder = tmp_path / "explosive_weights"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert package_folder("explosive_weights") == folder
    assert package_folder("no_such_weights_at_all") is None


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    """A file that begins like a model."""
    path = tmp_path / "mine.gguf"
    path.write_bytes(b"GGUF and more")
    return path


def test_an_own_file_becomes_a_model(gguf: Path) -> None:
    """Its name is the configured one and its date the file's."""
    os.utime(gguf, (1_700_000_000, 1_700_000_000))
    assert extra_problem("mine", gguf) == ""
    model = extra_model("mine", gguf)
    assert (model.name, model.upstream, model.created) == ("mine", "mine", 1_700_000_000)
    assert "mine.gguf" in model.description


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("mine", lambda path: path.unlink(), "No such file"),
        ("mine", lambda path: path.write_bytes(b"PK\3\4"), "not a GGUF file"),
        ("local", lambda _: None, "built-in"),
        ("../x", lambda _: None, "cannot be a local model's name"),
    ],
)
def test_an_unusable_entry_is_explained(gguf: Path, name: str, make: Callable[[Path], object], words: str) -> None:
    """Each way to get the entry wrong has its sentence, and `missing` reports it."""
    make(gguf)
    assert words in extra_problem(name, gguf)
    assert extra_problem(name, gguf) in missing({name: gguf}, lambda _: None)


def test_the_right_hash_passes_and_is_remembered(tmp_path: Path) -> None:
    """The second check of an unchanged file does not read it."""
    path = tmp_path / "weights"
    path.write_bytes(b"some weights")
    expected = hashlib.sha256(b"some weights").hexdigest()
    verify(path, expected, tmp_path / "cache")
    with patch.object(models, "file_sha256", side_effect=AssertionError("read again")):
        verify(path, expected, tmp_path / "cache")


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    """Same size, other content and time: the note does not vouch for it."""
    path = tmp_path / "weights"
    path.write_bytes(b"some weights")
    expected = file_sha256(path)
    verify(path, expected, tmp_path)
    path.write_bytes(b"evil weights")
    os.utime(path, ns=(1, 1))
    with pytest.raises(WeightsError, match="tokenway local install"):
        verify(path, expected, tmp_path)


def test_a_wrong_file_is_refused_every_time(tmp_path: Path) -> None:
    """Remembering the hash does not mean accepting it."""
    path = tmp_path / "weights"
    path.write_bytes(b"evil weights")
    for _ in range(2):
        with pytest.raises(WeightsError, match=file_sha256(path)):
            verify(path, "0" * 64, tmp_path)


def test_a_damaged_note_is_ignored(tmp_path: Path) -> None:
    """The file is read, and the note written anew."""
    path = tmp_path / "weights"
    path.write_bytes(b"some weights")
    verify(path, file_sha256(path), tmp_path)
    (note,) = tmp_path.glob("verified-*.json")
    note.write_bytes(b"{")
    verify(path, file_sha256(path), tmp_path)
    assert file_sha256(path) in note.read_text()


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    """Readers see the old content until the new is whole."""
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with patch.object(Path, "replace", side_effect=OSError("full")), pytest.raises(OSError, match="full"):
        write_atomically(path, b"new")
    assert [child.name for child in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"
