import re

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pytest

from lrsparse import slider


def frames(n=3):
    made = []
    for k in range(n):
        figure, axes = plt.subplots(figsize=(2, 1))
        axes.bar([0], [k + 1])
        made.append(figure)
    return made


def texts(word, n=3):
    return [f"{word} {k}" for k in range(n)]


@pytest.fixture(autouse=True)
def no_open_figures():
    yield
    plt.close("all")


def test_the_slider_chooses_the_picture_in_the_browser(monkeypatch):
    linked = []
    monkeypatch.setattr(ipywidgets, "jslink", lambda source, target: linked.append((source, target)))
    box = slider(frames(), texts("label"), texts("alt"), "height")
    choice, stack = box.children
    assert list(choice.options) == texts("label")
    assert choice.description == "height"
    assert len(stack.children) == 3 and stack.selected_index == 0
    assert linked == [((choice, "index"), (stack, "selected_index"))]


def test_every_picture_has_its_own_alternative_text_and_size():
    box = slider(frames(), texts("label"), ['a "quoted" <one>', "two", "three"], "height")
    pages = [child.value for child in box.children[1].children]
    assert 'alt="a &quot;quoted&quot; &lt;one&gt;"' in pages[0]
    assert len({re.search('src="(.*?)"', page)[1] for page in pages}) == 3
    assert all('width="208" height="104"' in page for page in pages)


def test_figures_are_closed():
    before = len(plt.get_fignums())
    slider(frames(), texts("label"), texts("alt"), "height")
    assert len(plt.get_fignums()) == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"alts": ["one", "two"]}, "alts"),
        ({"alts": ["one", "two", " "]}, "alts"),
        ({"alts": ["one", "two", "two"]}, "alts"),
        ({"labels": ["one", "two"]}, "labels"),
        ({"labels": ["one", "one", "two"]}, "labels"),
        ({"name": " "}, "name"),
    ],
)
def test_bad_texts_are_refused(change, named):
    given = {"labels": texts("label"), "alts": texts("alt"), "name": "height"} | change
    with pytest.raises(ValueError, match=named):
        slider(frames(), **given)


@pytest.mark.parametrize("n", [1, 13])
def test_the_number_of_frames_is_limited(n):
    with pytest.raises(ValueError, match="frames must be 2 to 12"):
        slider(frames(n), texts("label", n), texts("alt", n), "height")


def test_heavy_frames_are_refused():
    heavy = frames(2)
    figure, axes = plt.subplots(figsize=(6, 6))
    axes.imshow(np.random.default_rng(0).random((300, 300, 3)), interpolation="nearest")
    heavy[1] = figure
    with pytest.raises(ValueError, match="frames must take at most 40000 bytes"):
        slider(heavy, texts("label", 2), texts("alt", 2), "height")


def test_without_stack_the_kernel_changes_the_picture(monkeypatch):
    monkeypatch.delattr(ipywidgets, "Stack")
    choice, shown = slider(frames(), texts("label"), texts("alt"), "height").children
    assert 'alt="alt 0"' in shown.value
    choice.index = 2
    assert 'alt="alt 2"' in shown.value
