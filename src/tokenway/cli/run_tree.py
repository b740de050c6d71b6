"""The tree of a run on a terminal: a headline with what it came to, and a line for each agent, turn and call."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from tokenway.cli.output import NOTHING, money, number
from tokenway.metering.ledger import Settlement

if TYPE_CHECKING:
    from rich.text import Text

    from tokenway.metering.runs import Figures
    from tokenway.store.runs import Agent, Call, RunTree

PIPE_WIDTH: Final = 120
"""Columns where nobody looks at a terminal."""
_WIDE: Final = 100
"""Columns from which on there is room for what is shown last."""
_LABEL_MIN: Final = 24
_HEADS: Final = ("in", "cached", "out", "charged", "TTFT s", "tokens/s")
_NARROW: Final = (0, 2, 3, 5)
"""Which of these are shown on a narrow terminal."""
_PLAIN: Final = frozenset({"", "main", "subagent", "workflow"})
"""Classes of requests that an agent's place in the tree tells anyway."""
_NO_CELLS: Final = ("",) * len(_HEADS)


class Line(NamedTuple):
    """One line: the guides before it, what it is, its figures by _HEADS, and how it looks."""

    guides: str
    label: str
    cells: tuple[str, ...]
    style: str = ""


def print_tree(tree: RunTree, key: str) -> None:
    """Prints it on standard output, as wide as the terminal is."""
    from rich.console import Console  # noqa: PLC0415 - rich costs more than most commands do
    from rich.table import Table  # noqa: PLC0415 - the same
    from rich.text import Text  # noqa: PLC0415 - the same

    console = Console(highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
    for text, style in headline(tree, key):
        console.print(Text(text, style=style))
    console.print()
    rows = list(lines(tree))
    shown = range(len(_HEADS)) if console.width >= _WIDE else _NARROW
    widths = [max(len(_HEADS[at]), *(len(row.cells[at]) for row in rows)) for at in shown]
    room = max(_LABEL_MIN, console.width - sum(width + 2 for width in widths))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", collapse_padding=True)
    table.add_column("", no_wrap=True, overflow="ellipsis", max_width=room, min_width=min(room, _LABEL_MIN))
    for at, width in zip(shown, widths, strict=True):
        table.add_column(_HEADS[at], justify="right", no_wrap=True, min_width=width)
    for row in rows:
        table.add_row(_styled(row, Text), *(Text(row.cells[at], style=row.style) for at in shown))
    console.print(table)
    if tree.omitted:
        console.print(Text(f"… and {tree.omitted} calls more, which are in the figures only.", style="dim"))


def _styled(row: Line, text: type[Text]) -> Text:
    return text.assemble((row.guides, "dim"), (row.label, row.style))


def headline(tree: RunTree, key: str) -> Iterator[tuple[str, str]]:
    """What a run came to, in four lines, each with its style."""
    run, figures = tree.run, tree.run.figures
    yield f"{run.run}  {key}, {run.project}", "bold"
    first, last = (datetime.fromtimestamp(at, UTC) for at in (run.started, run.ended))
    until = f"{last:%H:%M:%S}" if first.date() == last.date() else f"{last:%Y-%m-%d %H:%M:%S}"
    spent = f"{run.ended - run.started:.1f} s; models at work for {figures.model_time:.1f} s"
    yield f"{first:%Y-%m-%d %H:%M:%S} to {until} UTC, {spent}", ""
    yield _amplification(figures), "bold"
    hits = NOTHING if figures.cache_hits is None else f"{figures.cache_hits:.0%}"
    parts = [
        _many(figures.calls, "call"),
        f"{figures.usage.input_tokens:,} in ({hits} cached)",
        f"{figures.usage.output_tokens:,} out",
        money(figures.charged),
        f"{number(figures.velocity)} tokens/s",
    ]
    if figures.errors:
        parts.append(_many(figures.errors, "error"))
    yield ", ".join(parts), ""


def _amplification(figures: Figures) -> str:
    ratio, hidden = figures.amplification, figures.hidden_calls
    if hidden is None:
        return f"Amplification {NOTHING}: {figures.tokens:,} tokens, and the user saw no answer"
    seen = f"{figures.tokens:,} tokens for {figures.shown_tokens:,} that the user saw"
    behind = f"{hidden:.1f} hidden calls for each answer of {figures.shown}"
    return f"Amplification {number(ratio)}: {seen}; {behind}"


def lines(tree: RunTree) -> Iterator[Line]:
    """The lines of the tree."""
    for agent in tree.agents:
        yield from _of_agent(agent, "", "")


def _of_agent(agent: Agent, guides: str, below: str) -> Iterator[Line]:
    """An agent's line, and below it its calls by turns, and the agents that work for it."""
    figures = agent.figures
    named = agent.name or "the run's own agent"
    label = f"{named} ({agent.agent_type})" if agent.agent_type else named
    label += f", {_many(figures.calls, 'call')}" if figures is not None else ", no calls of its own"
    if agent.goes_on:
        label += f", goes on in the run {agent.name}"
    yield Line(guides, label, _NO_CELLS if figures is None else _sums(figures), "bold")
    turns: dict[int, list[Call]] = {}
    for call in agent.calls:
        turns.setdefault(call.turn, []).append(call)
    if len(turns) > 1:
        for at, (turn, calls) in enumerate(turns.items(), start=1):
            own, under = _guides(below, is_last=at == len(turns) and not agent.agents)
            yield Line(own, f"turn {turn}", _NO_CELLS)
            yield from _of_calls(calls, under, is_end=True)
    else:
        yield from _of_calls(agent.calls, below, is_end=not agent.agents)
    for at, each in enumerate(agent.agents, start=1):
        yield from _of_agent(each, *_guides(below, is_last=at == len(agent.agents)))


def _guides(below: str, *, is_last: bool) -> tuple[str, str]:
    """What stands before a line, and before the lines below it."""
    return (below + "└─ ", below + "   ") if is_last else (below + "├─ ", below + "│  ")


def _of_calls(calls: list[Call], below: str, *, is_end: bool) -> Iterator[Line]:
    for at, call in enumerate(calls, start=1):
        yield _of_call(call, _guides(below, is_last=is_end and at == len(calls))[0])


def _of_call(call: Call, guides: str) -> Line:
    usage = call.usage
    cells = (
        NOTHING if usage is None else f"{usage.input_tokens:,}",
        NOTHING if usage is None else f"{usage.cache_read:,}",
        NOTHING if usage is None else f"{usage.output_tokens:,}",
        money(call.charged),
        number(call.ttft, 2),
        number(call.speed),
    )
    end, style = _end(call)
    kind = f" ({call.request_class})" if call.request_class not in _PLAIN else ""
    tries = f", {call.attempts} attempts" if call.attempts > 1 else ""
    return Line(guides, f"{end}{kind}: {call.endpoint or call.model}{tries}", cells, style)


def _end(call: Call) -> tuple[str, str]:
    """How a call ended, in a word, and how that looks."""
    if call.shown:
        return "answer", "green"
    if call.settlement == Settlement.DELIVERED:
        return call.finish_reason or call.operation, "yellow" if call.slow else ""
    if call.settlement == Settlement.UPSTREAM_BILLED:
        return "left", "yellow"
    return f"{call.error_type or call.settlement} {call.status or ''}".rstrip(), "red"


def _sums(figures: Figures) -> tuple[str, ...]:
    usage = figures.usage
    return (
        f"{usage.input_tokens:,}",
        f"{usage.cache_read:,}",
        f"{usage.output_tokens:,}",
        money(figures.charged),
        number(figures.ttft, 2),
        number(figures.velocity),
    )


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
