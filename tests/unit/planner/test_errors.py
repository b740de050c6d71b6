"""What is not known is answered with what comes nearest."""

from __future__ import annotations

from tokenway.planner.errors import unknown


def test_the_nearest_names_are_told() -> None:
    """A slip of the keyboard is put right by the answer."""
    assert str(unknown("GPU", "H1000", ["h100", "h200", "mi300x"])).startswith(
        "There is no GPU 'H1000'; did you mean h100"
    )


def test_all_names_are_told_where_none_is_near() -> None:
    """Without a near one the reader sees what there is."""
    assert str(unknown("GPU", "abacus", ["h100", "b200"])) == "There is no GPU 'abacus'; known are b200, h100."
