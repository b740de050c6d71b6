"""The documentation describes what exists: its files, commands, paths, settings and figures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.docs.pages import PAGES, blocks, code, links, text_of
from tokenway.cli.main import command_paths
from tokenway.control.api.rules import RULES
from tokenway.control.config import load
from tokenway.edge.cold import make_app
from tokenway.edge.doors import FIXED
from tokenway.model.settings import variables
from tokenway.telemetry import names
from tools.tree import ROOT

SOURCE: Final = ROOT / "src" / "tokenway"
LAYERS: Final = {path.name for path in SOURCE.iterdir() if path.is_dir()} - {"__pycache__"}
OTHERS: Final = {"src", "docs", "tests", "tools", "benchmarks", "fuzz", "examples", "locks"}


def ids(page: Path) -> str:
    """How a page is called in the report."""
    return str(page)


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link that stays in the repository names a file or a folder."""
    missing = [target for target in links(page) if not (ROOT / page.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_files_that_are_named_exist(page: Path) -> None:
    """`store/journal.py` is below `src/tokenway`, `tests/simulation` below the root."""
    missing = []
    for text in code(page):
        first, slash, _ = text.partition("/")
        if not slash or not re.fullmatch(r"[\w./-]+", text):
            continue
        if first in LAYERS and text.endswith(".py"):
            missing += [] if (SOURCE / text).exists() else [text]
        elif first in OTHERS and not (page.parent / text).exists():
            # A page of a folder may name its own files as seen from there.
            missing += [] if (ROOT / text).exists() or (ROOT / page.parent / text).exists() else [text]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_commands_that_are_named_exist(page: Path) -> None:
    """Of the program and of the Makefile, in prose and in examples."""
    commands = {" ".join(words) for words in command_paths()} | {path[0] for path in command_paths()}
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    text = text_of(page)
    for words in re.findall(r"`(?:\.venv/bin/)?tokenway ([a-z]+(?:-[a-z]+)*(?: [a-z]+(?:-[a-z]+)*)?)", text):
        assert words in commands or words.partition(" ")[0] in commands, words
    for target in re.findall(r"(?:`|^ {4})make ([a-z-]+)", text, re.MULTILINE):
        assert target in targets, target


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "yaml")], ids=ids)
def test_configurations_can_be_used(page: Path, tmp_path: Path) -> None:
    """Each YAML block is a file that `tokenway check` accepts; GGUF files stand for any file."""
    for number, block in enumerate(blocks(page, "yaml")):
        file = tmp_path / f"{number}.yaml"
        file.write_text(re.sub(r"/srv/\S+\.gguf", str(Path(__file__)), block))
        assert [str(finding) for finding in load(file, {}).findings] == [], page


def test_the_index_has_every_page() -> None:
    """Whoever adds a page adds its line."""
    listed = set(links("docs/README.md"))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"} <= listed
    assert {f"operate/{path.name}" for path in (ROOT / "docs" / "operate").glob("*.md")} <= listed
    assert "decisions/README.md" in listed


def test_decisions_have_their_four_parts() -> None:
    """In this order, each number once."""
    records = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
    numbers = [record.name[:4] for record in records]
    assert len(set(numbers)) == len(numbers)
    for record in records:
        text = record.read_text(encoding="utf-8")
        assert text.startswith(f"# {record.name[:4]}: "), record.name
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Choice", "Price", "Looked at"], record.name


def test_every_path_of_the_public_listener_is_described() -> None:
    """And nothing else is: the table of paths is the routes."""
    state: object = object()
    cold = {route.path for route in make_app(state).routes}  # type: ignore[arg-type, attr-defined]
    # What has a model in it stands in a table of its own, and what is refused, in the text.
    fixed = {path for path in cold if not path.startswith("/model/") and ":{verb" not in path and "{rest" not in path}
    served = {re.sub(r"\{\w+(:path)?\}", "{id}", path) for path in fixed} | {path.decode() for path in FIXED}
    table = re.findall(r"^\| `(?:GET|POST) (/[^`?]+)", text_of("docs/api.md"), re.MULTILINE)
    assert set(table) == {path for path in served if not path.startswith(("/api/", "/openai/"))}
    assert {f"/api{path}" for path in table if path.startswith("/v1")} <= served


def test_every_resource_of_the_control_api_is_described() -> None:
    """And none that is not there."""
    table = "\n".join(re.findall(r"^\| (`.+?) \| ", text_of("docs/control-api.md"), re.MULTILINE))
    named = set(re.findall(r"[` ]/(\w+)", table))
    assert named == {path.split("/")[1] for _, path in RULES}


def test_every_metric_is_described() -> None:
    """By the name that Prometheus sees, where a counter ends in `_total`."""
    known = {value for name, value in vars(names).items() if name.isupper() and str(value).startswith("tokenway_")}
    listed = set(re.findall(r"^\| `(tokenway_\w+)`", text_of("docs/metrics.md"), re.MULTILINE))
    assert known
    assert {name.removesuffix("_total") for name in listed} == {name.removesuffix("_total") for name in known}


def test_every_variable_that_is_named_gives_a_setting() -> None:
    """Those of the program; a page may not promise one that is not read."""
    read = set(variables()) | {"TOKENWAY_CONFIG", "TOKENWAY_DATA_DIR", "TOKENWAY_API_KEY", "TOKENWAY_BASE_URL"}
    for page in PAGES:
        if page.name in {"README.md", "api.md", "operate.md", "local-engine.md", "cli.md"} and page.parts[0] != "fuzz":
            named = set(re.findall(r"\bTOKENWAY_[A-Z_]+", text_of(page)))
            assert named <= read, page
