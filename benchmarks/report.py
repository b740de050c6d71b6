"""From the samples of all visits to medians, spreads, tables and ratios."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.runner import Figures

Note = Callable[[str], None]
FLOOR = "nginx"
UPSTREAM = "direct"
IMPORTS = ("tokenway.edge.server", "tokenway.compose.worker")
MARK_BEGIN = "<!-- results: written by `python -m benchmarks.run --write-readme` -->"
MARK_END = "<!-- end of results -->"


@dataclass(frozen=True)
class Result:
    """All that one run of the suite found."""

    machine: dict[str, str]
    versions: dict[str, str]
    method: dict[str, float]
    samples: dict[str, list[Figures]]
    notes: list[str]

    def values(self, subject: str, figure: str) -> list[float]:
        """The figure in each visit that has it."""
        return [visit[figure] for visit in self.samples.get(subject, []) if figure in visit]

    def median(self, subject: str, figure: str) -> float | None:
        """Over the visits; None where no visit has it."""
        values = self.values(subject, figure)
        return median(values) if values else None

    def as_json(self) -> dict[str, Any]:
        """Samples and medians."""
        names = {
            subject: sorted({name for visit in visits for name in visit}) for subject, visits in self.samples.items()
        }
        medians = {subject: {name: self.median(subject, name) for name in each} for subject, each in names.items()}
        return asdict(self) | {"medians": medians}


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    title: str
    figure: str
    scale: float = 1.0
    digits: int = 0
    has_ratio: bool = False
    has_spread: bool = False


PLAIN = (
    Column("CPU/request µs", "plain.cpu_us", has_ratio=True, has_spread=True),
    Column("of it the worker", "plain.worker_cpu_us"),
    Column("requests/s", "plain.rps"),
    Column("core busy", "plain.busy", digits=2),
    Column("CPU/request at half load µs", "half.cpu_us", has_ratio=True),
    Column("upstream busy", "plain.upstream_busy", digits=2),
)
STREAMS = (
    Column("interleaved: CPU µs", "stream.cpu_us", has_ratio=True, has_spread=True),
    Column("of it the worker", "stream.worker_cpu_us"),
    Column("streams/s", "stream.rps"),
    Column("core busy", "stream.busy", digits=2),
    Column("burst: CPU µs", "burst.cpu_us", has_ratio=True, has_spread=True),
    Column("streams/s", "burst.rps"),
    Column("core busy", "burst.busy", digits=2),
    Column("paced: CPU µs", "paced.cpu_us", has_ratio=True, has_spread=True),
)
LATENCY = (
    Column("half load: calls/s", "half.rate"),
    Column("added p50 µs", "half.added_p50_us"),
    Column("added p99 µs", "half.added_p99_us", has_spread=True),
    Column("same rate: calls/s", "common.rate"),
    Column("added p50 µs", "common.added_p50_us"),
    Column("added p99 µs", "common.added_p99_us", has_spread=True),
)
PACED = (
    Column("streams/s", "paced.rate"),
    Column("first event: added p50 µs", "paced.added_first_p50_us"),
    Column("added p99 µs", "paced.added_first_p99_us", has_spread=True),
    Column("each event: added p50 µs", "paced.added_event_p50_us"),
    Column("added p99 µs", "paced.added_event_p99_us", has_spread=True),
)
SIZE = (
    Column("start to first 200 ms", "start.ms"),
    Column("idle RSS worker MB", "rss.idle_worker", 1e-6, 1),
    Column("idle RSS all MB", "rss.idle_total", 1e-6, 1),
    Column("RSS after load, worker MB", "rss.after_worker", 1e-6, 1),
    Column("RSS after load, all MB", "rss.after_total", 1e-6, 1),
    Column("bytes/idle stream", "idle.worker_bytes"),
    Column("at streams", "idle.streams"),
)


def _number(value: float, digits: int) -> str:
    return f"{value:,.{digits}f}"


def _cell(result: Result, subject: str, column: Column) -> str:
    value = result.median(subject, column.figure)
    if value is None:
        return "-"
    text = _number(value * column.scale, column.digits)
    values = result.values(subject, column.figure)
    if column.has_spread and len(values) > 1:
        low, high = (_number(each * column.scale, column.digits) for each in (min(values), max(values)))
        text += f" ({low}-{high})"
    floor = result.median(FLOOR, column.figure)
    if column.has_ratio and floor and subject not in {FLOOR, UPSTREAM}:
        text += f" **{value / floor:.2f}×**"
    return text


def table(result: Result, columns: tuple[Column, ...], subjects: list[str], head: str = "subject") -> str:
    """A Markdown table; ratios are against nginx in the same run. `head` is the title of the first column."""
    if not any(result.values(subject, column.figure) for subject in subjects for column in columns):
        return "(not measured)"
    rows = [[head, *(column.title for column in columns)]]
    rows += [[subject, *(_cell(result, subject, column) for column in columns)] for subject in subjects]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def translated(result: Result, subject: str) -> str:
    """What a stream costs that is translated, beside the same in one dialect; empty where that was not measured."""
    lines = []
    for phase, title in (("stream", "interleaved"), ("burst", "burst")):
        same = result.median(subject, f"{phase}.cpu_us")
        other = result.median(subject, f"translated{'' if phase == 'stream' else '-burst'}.cpu_us")
        if same and other:
            lines.append(f"{title} {other:,.0f} µs, {other / same:.2f} times the {same:,.0f} µs of one dialect")
    if not lines:
        return ""
    return f"\n{subject}, CPU per stream of 64 events from Anthropic's dialect to OpenAI's: {'; '.join(lines)}.\n"


def _all(result: Result, suffix: str) -> list[float]:
    return [
        value
        for visits in result.samples.values()
        for visit in visits
        for name, value in visit.items()
        if name.endswith(suffix)
    ]


TEMPLATE = """\
Measured {date} on {processor}, {cores} cores, {memory_gib} GiB, Linux {kernel}, Python {python}, load average before:
{load_average}. {rounds:.0f} rounds, {seconds:g} s per phase, medians; in brackets the lowest and the highest round;
ratios are against nginx in the same run. Versions: {versions}.

Plain JSON, closed loop, one core (`direct` is the upstream alone: its CPU, and what the load generator can do):

{plain}

Streams of 64 events, CPU per stream. Interleaved and burst: closed loop; paced: 10 ms between events:

{streams}
{translated}
Latency added to the same call without the subject, plain JSON, open loop, at half of what each can do and at one rate:

{latency}

Latency added to paced streams, open loop:

{paced}

Start and memory:

{size}

{imported}
Others used at most {foreign:.0%} of the subject's core during a phase, the hypervisor took at most {steal:.0%};
{failed:.0f} answers failed.
"""


def markdown(result: Result) -> str:
    """The whole report."""
    subjects = [name for name in result.samples if name != UPSTREAM]
    imported = {name: result.median("tokenway", f"start.import.{name}") for name in IMPORTS}
    text = TEMPLATE.format(
        **result.machine,
        **result.method,
        versions=", ".join(f"{name} {version}" for name, version in result.versions.items()),
        plain=table(result, PLAIN, [UPSTREAM, *subjects]),
        streams=table(result, STREAMS, [UPSTREAM, *subjects]),
        translated="".join(translated(result, subject) for subject in subjects),
        latency=table(result, LATENCY, subjects),
        paced=table(result, PACED, subjects),
        size=table(result, SIZE, subjects),
        imported="".join(f"`import {name}` takes {ms:.0f} ms. " for name, ms in imported.items() if ms is not None),
        foreign=max(_all(result, ".foreign"), default=0.0),
        steal=max(_all(result, ".steal"), default=0.0),
        failed=sum(_all(result, ".failed")),
    )
    return text + "".join(f"\n* {note}" for note in result.notes) + ("\n" if result.notes else "")


def one_line(figures: Figures) -> str:
    """What a person who waits wants to see after a visit."""
    wanted = (
        ("plain µs", "plain.cpu_us"),
        ("worker µs", "plain.worker_cpu_us"),
        ("req/s", "plain.rps"),
        ("stream µs", "stream.cpu_us"),
        ("translated µs", "translated.cpu_us"),
        ("burst µs", "burst.cpu_us"),
        ("paced µs", "paced.cpu_us"),
        ("half p99 +µs", "half.added_p99_us"),
        ("start ms", "start.ms"),
        ("B/idle stream", "idle.worker_bytes"),
    )
    return ", ".join(f"{title} {figures[name]:,.0f}" for title, name in wanted if name in figures)


def write_readme(readme: Path, text: str, begin: str = MARK_BEGIN) -> None:
    """Puts a report between two marks of a file; `begin` is the first of them."""
    before, _, rest = readme.read_text().partition(begin)
    _, _, after = rest.partition(MARK_END)
    readme.write_text(f"{before}{begin}\n\n{text}\n{MARK_END}{after}")
