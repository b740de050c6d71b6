"""The page about the providers."""

from __future__ import annotations

from pathlib import Path

from tokenway.dialects.providers import KNOWN
from tools.provider_docs import PAGE, main, page


def test_the_page_is_current() -> None:
    """What is in the repository is what would be written."""
    assert main(["--check"]) == 0


def test_every_provider_is_on_the_page() -> None:
    """With its address, and with those of its other wire formats."""
    text = page()
    for row in KNOWN.values():
        assert f"| `{row.name}` | {row.title} |" in text
        assert all(f"`{offer.base_url}`" in text for offer in row.speaks)


def test_a_page_that_is_not_current_is_named(tmp_path: Path) -> None:
    """Checking writes nothing; writing makes it current."""
    assert main(["--check"], tmp_path) == 1
    assert not (tmp_path / PAGE).exists()
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
