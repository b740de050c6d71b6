"""The contest's figures as tables and as a plot."""

from __future__ import annotations

from html import escape
from typing import Final

from benchmarks.report import Column, Result, table
from benchmarks.routing.contest import FLOOR, ORACLE, OURS, RANDOM
from benchmarks.routing.policies import PEERS
from benchmarks.routing.simulate import PENALTY_S

MARK_BEGIN: Final = "<!-- results: written by `python -m benchmarks.routing --write-readme` -->"

COLUMNS: Final = (
    Column("mean finish s", "finish", digits=2, has_spread=True),
    Column("p50 s", "finish.p50", digits=2),
    Column("p99 s", "finish.p99", digits=1),
    Column("regret s", "regret", digits=2, has_spread=True),
    Column("mean TTFT s", "ttft", digits=2),
    Column(f"under {FLOOR:.0f} tokens/s %", "slow", 100, 2, has_spread=True),
    Column("failed", "failed"),
    Column("attempts", "attempts", digits=3),
    Column("cost USD", "cost", digits=0),
)
TITLES: Final = {
    "day": "A day, 1.2 requests a second in the mean",
    "no-load": "The same day, our requests take no slots and slow nobody down",
    "sparse": "A week, one request a minute",
}


def _spread(result: Result, figure: str) -> str:
    values = result.values(OURS, figure)
    return f"{result.median(OURS, figure):.2f} ({min(values):.2f}-{max(values):.2f})"


def goals(result: Result) -> str:
    """How ours stands to both goals, or nothing where that was not played."""
    if not result.values(OURS, "regret.ratio") or not result.values(OURS, "slow.ratio"):
        return ""
    return (
        f"\n\nRegret of `{OURS}`: {_spread(result, 'regret.ratio')} of that of the best peer of each seed (goal: 0.33)."
        f" Streams under the floor: {_spread(result, 'slow.ratio')} of those of `{RANDOM}` (goal: 0.20)."
    )


def markdown(results: dict[str, Result]) -> str:
    """A table for each scenario."""
    parts = []
    for name, result in results.items():
        seeds, count = result.method["seeds"], result.method["requests"]
        parts.append(
            f"{TITLES[name]}: {count:,.0f} requests, seeds 1 to {seeds:.0f}, medians; in brackets the lowest and the"
            f" highest seed; a failure has {PENALTY_S:.0f} s added:\n\n"
            + table(result, COLUMNS, list(result.samples), "policy")
            + goals(result)
        )
    return "\n\n".join(parts) + "\n"


# ── the plot ─────────────────────────────────────────────────────────────────────────────────────

ROW: Final = 22
LABEL: Final = 110
BAR: Final = 300
PANEL: Final = LABEL + BAR + 70
COLOURS: Final = {OURS: "#1f7a4d", ORACLE: "#999999"}
PEER: Final = "#4b6fa5"
PLOTTED: Final = (
    ("regret", "regret against the oracle, s", 1.0, 2),
    ("slow", f"streams under {FLOOR:.0f} tokens/s, %", 100.0, 2),
)


def _panel(result: Result, left: int, top: int, plotted: tuple[str, str, float, int]) -> list[str]:
    """Bars with the median of each policy, and a line from the lowest seed to the highest."""
    figure, title, scale, digits = plotted
    names = [name for name in result.samples if result.values(name, figure)]
    most = max((max(result.values(name, figure)) for name in names), default=0.0) * scale or 1.0
    parts = [f'<text x="{left + LABEL}" y="{top}" font-weight="bold">{escape(title)}</text>']
    for row, name in enumerate(names):
        values = [value * scale for value in result.values(name, figure)]
        middle = (result.median(name, figure) or 0.0) * scale
        x, y = left + LABEL, top + 8 + row * ROW
        low, high = (x + BAR * value / most for value in (min(values), max(values)))
        width, colour = BAR * max(0.0, middle) / most, COLOURS.get(name, PEER)
        parts += [
            f'<text x="{x - 6}" y="{y + 14}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{x}" y="{y + 3}" width="{width:.1f}" height="{ROW - 7}" fill="{colour}"/>',
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y + 10.5}" y2="{y + 10.5}" stroke="#222"/>',
            f'<text x="{max(high, x) + 6:.1f}" y="{y + 14}">{middle:.{digits}f}</text>',
        ]
    return parts


def svg(results: dict[str, Result]) -> str:
    """The plot: a row of panels for each scenario."""
    parts, top = [], 24
    for name, result in results.items():
        parts.append(f'<text x="10" y="{top}" font-size="14">{escape(TITLES[name])}</text>')
        for place, plotted in enumerate(PLOTTED):
            parts += _panel(result, place * PANEL, top + 26, plotted)
        top += 26 + 8 + ROW * len(result.samples) + 36
    width = PANEL * len(PLOTTED)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{top}" viewBox="0 0 {width} {top}"'
        ' font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="#fff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def order(names: list[str]) -> list[str]:
    """Peers as they are listed, then ours, then the oracle."""
    known = [*PEERS, OURS, ORACLE]
    return sorted(names, key=known.index)
