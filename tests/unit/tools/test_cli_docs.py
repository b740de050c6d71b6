"""`tools.cli_docs`: the page about the command line."""

from __future__ import annotations

from tokenway.cli.main import command_paths
from tools.cli_docs import PAGE, render


def test_the_page_is_current() -> None:
    """`docs/cli.md` is what the help of the commands says now (`make docs` writes it anew)."""
    assert PAGE.read_text(encoding="utf-8") == render()


def test_every_command_has_a_section() -> None:
    """Each command and group stands under its own heading, with an example."""
    sections = render().split("\n#")
    for path in command_paths():
        (section,) = [one for one in sections if one.partition("\n")[0].endswith(f"`tokenway {' '.join(path)}`")]
        assert "For example:" in section
