"""`tokenway serve` before it is a supervisor: the others have begun by then, and end with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tokenway.compose import serve as module
from tokenway.compose.serve import serve
from tokenway.compose.spawn import Born, begun


def test_what_has_begun_is_handed_on_and_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With what was asked for; the exit status is the supervisor's."""
    known: list[Born] = []
    asked: list[dict[str, object]] = []

    @contextmanager
    def noted() -> Iterator[tuple[Born, Born]]:
        with begun() as both:
            known.extend(both)
            yield both

    def run(both: tuple[Born, Born], **what: object) -> int:
        assert [each.process.poll() for each in both] == [None, None]
        asked.append(what)
        return 7

    monkeypatch.setattr(module, "begun", noted)
    monkeypatch.setattr("tokenway.compose.supervise.run", run)
    what: dict[str, object] = {"config": tmp_path / "a.yaml", "overrides": {"server.port": "0"}, "data_dir": None}
    assert serve(**what) == 7  # type: ignore[arg-type]
    assert asked == [what]
    assert [each.process.returncode for each in known] == [-9, -9]


def test_a_configuration_that_cannot_be_used_starts_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What has begun is gone before anybody is told a second time."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.yaml").write_text("models: 5")
    assert serve(config=tmp_path / "a.yaml", overrides={}, data_dir=tmp_path / "data") == 1
    assert serve(config=None, overrides={"server.port": "x"}, data_dir=tmp_path / "data") == 2
    assert "the configuration cannot be used, so nothing was started" in capfd.readouterr().err
    assert not (tmp_path / "data").exists()
