import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb

import lrsparse.figures as figures
from lrsparse import show, use_style


def luminance(colour: str) -> float:
    """Relative luminance as the accessibility guidelines define it."""
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("page", ["#ffffff", "#12161b"])
def test_text_and_lines_stand_out_on_light_and_on_dark_pages(page):
    assert contrast(figures.GREY, page) >= (4.5 if page == "#ffffff" else 3.5)
    assert all(contrast(colour, page) >= 3 for colour in figures.COLOURS)


def test_use_style_sets_the_parameters_of_figures_and_no_others():
    before = dict(mpl.rcParams)
    with mpl.rc_context():
        use_style()
        changed = {key for key in before if mpl.rcParams[key] != before[key]}
        assert mpl.rcParams["axes.facecolor"] == "none"
        assert mpl.rcParams["text.color"] == figures.GREY
    assert changed <= set(figures.STYLE)
    assert "backend" not in figures.STYLE


def shown(monkeypatch, obj):
    bundles = []
    monkeypatch.setattr(figures, "display", lambda data, raw: bundles.append(data))
    show(obj)
    return bundles[0]


def test_show_displays_the_source_as_it_runs(monkeypatch):
    bundle = shown(monkeypatch, use_style)
    assert bundle["text/plain"].startswith("def use_style() -> None:")
    assert bundle["text/markdown"] == f"````python\n{bundle['text/plain']}\n````"


def test_show_removes_the_indentation_of_a_method(monkeypatch):
    class Inner:
        def method(self):
            return 1

    assert shown(monkeypatch, Inner.method)["text/plain"].startswith("def method(self):\n    return 1")


@pytest.mark.parametrize("obj", [len, 3])
def test_show_refuses_what_has_no_source(obj):
    with pytest.raises(ValueError, match="obj must be"):
        show(obj)
