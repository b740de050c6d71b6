"""`tokenway.cli.meter`: figures of one answer, and the line at the bottom of a terminal."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import termios

import pytest

from tokenway.cli.meter import BottomLine, Meter


def counted(tokens: int, seconds: float, cost: float | None = 0.0000125) -> Meter:
    """A finished answer of two pieces, `seconds` apart, after half a second."""
    meter = Meter("local", 100.0)
    meter.piece(100.5)
    meter.piece(100.5 + seconds)
    meter.usage = {"completion_tokens": tokens} | ({} if cost is None else {"cost": cost})
    meter.finish(101.0 + seconds)
    return meter


def test_speed_counts_tokens_not_pieces() -> None:
    """101 tokens in two pieces one second apart are 100 tokens a second."""
    meter = counted(101, 1.0)
    assert meter.tokens_per_second == pytest.approx(100.0)
    assert meter.ttft_seconds == pytest.approx(0.5)
    assert meter.line() == "local · TTFT 0.50 s · 100.0 tokens/s · 101 tokens · $0.0000125"


def test_while_text_flows_the_figures_are_marked_as_estimates() -> None:
    """Without the provider's count the meter shows pieces and says that they are about right."""
    meter = Meter("local", 0.0)
    for step in range(5):
        meter.piece(1.0 + step * 0.01)
    assert meter.line() == "local · TTFT 1.00 s · ≈100.0 tokens/s · ≈5 tokens"


def test_before_the_first_token_it_says_so() -> None:
    """A meter with nothing to count says what it waits for."""
    assert Meter("local", 0.0).line() == "local · waiting for the first token"


def test_an_answer_without_text_says_so() -> None:
    """An empty answer has no speed and none is made up."""
    meter = Meter("local", 0.0)
    meter.finish(1.0)
    assert meter.line() == "local · no text"
    assert meter.tokens_per_second is None


@pytest.mark.parametrize(("tokens", "slow"), [(20, True), (21, False), (22, False)])
def test_below_twenty_tokens_a_second_is_slow(tokens: int, slow: bool) -> None:
    """19 tokens a second are slow, 20 are not."""
    meter = counted(tokens, 1.0)
    assert meter.is_slow is slow
    assert (" slow" in meter.line()) is slow
    assert ("\x1b[33m" in meter.line(colour=True)) is slow


def test_the_gateways_own_verdict_counts_too() -> None:
    """A stream that the gateway marked slow is shown as slow, and under the endpoint that served it."""
    meter = counted(101, 1.0)
    meter.report = {"slow": True, "endpoint": "local/smollm2"}
    assert meter.line().startswith("local/smollm2 · ")
    assert "100.0 tokens/s slow" in meter.line()


def test_an_answer_without_a_cost_has_no_price() -> None:
    """An unpriced model is not shown as free."""
    meter = counted(101, 1.0, cost=None)
    assert meter.line().endswith(" · no price")
    assert meter.figures()["cost_usd"] is None


def test_a_stopped_answer_is_not_said_to_be_without_price() -> None:
    """Without usage nothing is known of the cost, and one piece has no speed: both are left out."""
    meter = Meter("local", 0.0)
    meter.piece(0.25)
    meter.finish(0.5)
    assert meter.line() == "local · TTFT 0.25 s · ≈1 tokens"


def test_a_free_answer_costs_zero() -> None:
    """A price of zero is a price."""
    assert counted(101, 1.0, cost=0).line().endswith(" · $0")


def test_the_figures_keep_what_the_provider_counted() -> None:
    """The data form has the usage untouched and dollars as an exact string."""
    figures = counted(101, 1.0).figures()
    assert figures["usage"] == {"completion_tokens": 101, "cost": 0.0000125}
    assert figures["cost_usd"] == "0.0000125"


def test_a_stream_that_is_no_terminal_gets_nothing() -> None:
    """Escape sequences never reach a file or a pipe."""
    stream = io.StringIO()
    with BottomLine(stream, enabled=False) as bottom:
        bottom.draw(Meter("local", 0.0), 1.0, colour=True)
    assert not stream.getvalue()


def drawn(rows: int) -> str:
    """What a terminal of `rows` by 40 receives for two drawings in quick succession."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (rows, 40))
    with os.fdopen(slave, "w") as stream, BottomLine(stream, enabled=True) as bottom:
        bottom.draw(Meter("a-model-with-a-name-that-is-longer-than-the-terminal", 0.0), 1.0, colour=False)
        bottom.draw(Meter("again", 0.0), 1.01, colour=False)
    pieces = []
    # Linux says EIO when the last writer has closed the terminal.
    with os.fdopen(master, "rb", buffering=0) as screen, contextlib.suppress(OSError):
        while piece := screen.read(65536):
            pieces.append(piece)
    return b"".join(pieces).decode()


def test_the_last_row_is_set_apart_and_given_back() -> None:
    """The scrolling region ends above the last row while the meter runs, and is whole again afterwards."""
    text = drawn(24)
    assert "\x1b[1;23r" in text
    assert text.index("\x1b[1;23r") < text.index("\x1b[24;1H\x1b[2Ka-model") < text.index("\x1b7\x1b[r")


def test_the_line_is_cut_to_the_terminal_and_not_redrawn_at_once() -> None:
    """A line never wraps, and two drawings within a tenth of a second are one."""
    text = drawn(24)
    assert "a-model-with-a-name-that-is-longer-than" in text
    assert "longer-than-" not in text
    assert "again" not in text


def test_a_tiny_terminal_is_left_alone() -> None:
    """Three rows have no room for a line of its own."""
    assert not drawn(3)
