"""The page about configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokenway.control.config import load
from tokenway.dialects.providers import KNOWN
from tokenway.model.settings import variables
from tools.settings_docs import PAGE, main, page
from tools.tree import ROOT


def test_the_page_is_current() -> None:
    """What is in the repository is what the types say now."""
    assert (ROOT / PAGE).read_text(encoding="utf-8") == page()


@pytest.mark.parametrize(
    "path",
    [
        "server.port",
        "store",
        "aliases",
        "auth.keys[].budget.period",
        "providers.NAME.api_keys",
        "models.NAME.endpoints[].price.cache_read",
        "models.NAME.routing.hedge.max_share",
    ],
)
def test_settings_of_every_depth_have_one_row(path: str) -> None:
    """Inside tables and lists too."""
    assert page().count(f"| `{path}` |") == 1


def test_variables_and_providers_are_all_there() -> None:
    """Nobody has to read the source to find a name."""
    text = page()
    assert [name for name in variables() if f"`${name}`" not in text] == []
    assert [name for name in KNOWN if f"| `{name}` |" not in text] == []


def test_defaults_are_shown_as_they_would_be_written(tmp_path: Path) -> None:
    """Every default of the page, put into a file, gives the default configuration."""
    lines: dict[str, list[str]] = {}
    for row in page().splitlines():
        cells = [cell.strip(" `") for cell in row.split(" | ")]
        section, _, name = cells[0].removeprefix("| `").partition(".")
        if section in {"server", "timeouts", "retries"} and len(cells) == 4 and cells[2] not in {"", "required"}:
            lines.setdefault(section, []).append(f"  {name}: {cells[2]}")
    assert sum(len(entries) for entries in lines.values()) >= 10
    file = tmp_path / "f.yaml"
    file.write_text("".join(f"{section}:\n" + "\n".join(entries) + "\n" for section, entries in lines.items()))
    assert load(file, {}).demand() == load(None, {}).demand()


def test_an_old_page_fails_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The check writes nothing; writing makes it pass."""
    assert main(["--check"], tmp_path) == 1
    assert "not current" in capsys.readouterr().out
    assert not (tmp_path / PAGE).exists()
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
