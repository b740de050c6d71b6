"""Pictures as bytes."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from tokenway.planner.errors import PlanError
from tokenway.planner.plots import Form, canvas, form_of, in_amounts, render


def _rendered(form: Form) -> bytes:
    figure, (upper, lower) = canvas(rows=2)
    upper.plot([1, 2], [3, 4])
    lower.set_title("below & beside")
    return render(figure, form, title="A <title>", lines=("1 < 2",))


def test_the_form_is_told_by_the_name() -> None:
    """In letters of any size; others are refused."""
    assert [form_of(name) for name in ("a.png", "b.c.SVG", "d.html")] == ["png", "svg", "html"]
    with pytest.raises(PlanError, match=r"'a\.pdf' has to end in one of \.png, \.svg, \.html"):
        form_of("a.pdf")


def test_a_png() -> None:
    """Has its mark."""
    assert _rendered("png").startswith(b"\x89PNG\r\n")


def test_an_svg_is_one_document() -> None:
    """With text as text, and the same bytes each time."""
    data = _rendered("svg")
    texts = {text.strip() for text in ET.fromstring(data).itertext()}

    assert "below & beside" in texts
    assert data == _rendered("svg")


def test_a_page_holds_the_picture() -> None:
    """And the sentences, with what HTML keeps for itself written out."""
    page = _rendered("html").decode()

    assert "<h1>A &lt;title&gt;</h1>" in page
    assert "<p>1 &lt; 2</p>" in page
    assert page.count("<svg") == 1
    assert "<?xml" not in page


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_axes_in_amounts(scale: str) -> None:
    """As tables write them, also between the powers of ten of a logarithmic axis."""
    figure, (axes,) = canvas()
    axes.plot([1, 2], [2e10, 7e10])
    axes.set_yscale(scale)
    in_amounts(axes.yaxis)
    texts = {text.strip() for text in ET.fromstring(render(figure, "svg", title="x")).itertext()}

    assert "40B" in texts
    assert not [text for text in texts if "10^" in text or "\N{MULTIPLICATION SIGN}" in text]
