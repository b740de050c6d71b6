"""The contest's tables and plot."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from benchmarks.report import Result
from benchmarks.routing import report
from benchmarks.runner import Figures


def found(regret: float, slow: float) -> Figures:
    """One seed."""
    return {"finish": 5 + regret, "regret": regret, "slow": slow, "regret.ratio": regret / 4, "slow.ratio": slow * 5}


def results() -> dict[str, Result]:
    """Two seeds of three policies."""
    samples = {
        "random": [found(8, 0.2), found(6, 0.2)],
        "ours": [found(1, 0.02), found(2, 0.04)],
        "oracle": [found(0, 0.01), found(0, 0.0)],
    }
    return {"day": Result({}, {}, {"seeds": 2, "requests": 100}, samples, [])}


def test_table_has_a_row_for_each_policy_and_both_goals() -> None:
    """Medians and spreads; the goals only where ours was played."""
    text = report.markdown(results())
    rows = [line for line in text.splitlines() if line.startswith("| ours")]
    assert len(rows) == 1
    assert "1.50 (1.00-2.00)" in rows[0]
    assert "3.00 (2.00-4.00)" in rows[0]
    assert "Regret of `ours`: 0.38 (0.25-0.50)" in text
    without = results()
    del without["day"].samples["ours"]
    assert "goal" not in report.markdown(without)


def test_plot_is_well_formed_and_bars_are_in_proportion() -> None:
    """A bar for each policy in both panels; ours has 1.5 of the 8 seconds that fill the panel."""
    root = ET.fromstring(report.svg(results()))
    bars = [element for element in root.iter() if element.tag.endswith("rect")][1:]
    assert len(bars) == 6
    widths = [float(bar.get("width", "")) for bar in bars]
    assert widths[0] == report.BAR * 7 / 8
    assert abs(widths[1] - report.BAR * 1.5 / 8) < 0.1


def test_order_is_peers_ours_oracle() -> None:
    """Whatever the order on the command line."""
    assert report.order(["oracle", "ours", "price", "random"]) == ["random", "price", "ours", "oracle"]
