"""A slider over pictures that also turns in a page without a kernel."""

import base64
import io
from collections.abc import Sequence
from html import escape

import ipywidgets
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

MOST_FRAMES = 12
MOST_BYTES = 40_000
PIXELS_PER_INCH = 104  # at this size the letters of a figure are as large as those of the text


def slider(frames: Sequence[Figure], labels: Sequence[str], alts: Sequence[str], name: str) -> ipywidgets.VBox:
    """A slider that chooses one of several figures; closes the figures.

    The pictures are made beforehand and the link between slider and picture runs in the browser.

    Parameters
    ----------
    frames : 2 to 12 figures of one size, each at most 40 kB as a picture.
    labels : what the slider shows beside its handle, one text a frame.
    alts : what the picture shows, for those who do not see it, one text a frame.
    name : what turning the slider changes; shown before it.

    Raises ValueError naming the argument, its value and what is allowed.
    """
    if not 2 <= len(frames) <= MOST_FRAMES:
        raise ValueError(f"frames must be 2 to {MOST_FRAMES} figures, got {len(frames)}")
    for argument, texts in (("labels", labels), ("alts", alts)):
        if len(texts) != len(frames):
            raise ValueError(f"{argument} must hold one text for each of {len(frames)} frames, got {len(texts)}")
        if not all(text.strip() for text in texts) or len(set(texts)) < len(texts):
            raise ValueError(f"{argument} must be different and not empty, got {list(texts)}")
    if not name.strip():
        raise ValueError(f"name must not be empty, got {name!r}")

    # HTML, not Image: that one has no alternative text.
    pictures = [ipywidgets.HTML(_image(*each)) for each in zip(frames, labels, alts, strict=True)]
    for frame in frames:
        plt.close(frame)
    choice = ipywidgets.SelectionSlider(
        options=list(labels),
        description=name,
        style={"description_width": "initial"},
        layout={"width": "auto", "max_width": "40rem"},
    )
    if hasattr(ipywidgets, "Stack"):
        shown = ipywidgets.Stack(pictures, selected_index=0)
        ipywidgets.jslink((choice, "index"), (shown, "selected_index"))
    else:  # ipywidgets 7, as hosted notebooks have it, knows no Stack; a kernel runs there to change the picture
        shown = ipywidgets.HTML(pictures[0].value)
        choice.observe(lambda change: setattr(shown, "value", pictures[change["new"]].value), "index")
    return ipywidgets.VBox([choice, shown])


def _image(frame: Figure, label: str, alt: str) -> str:
    buffer = io.BytesIO()
    frame.savefig(buffer, format="png", facecolor="none", bbox_inches=None, pil_kwargs={"optimize": True})
    data = buffer.getvalue()
    if len(data) > MOST_BYTES:
        raise ValueError(f"frames must take at most {MOST_BYTES} bytes each, got {len(data)} for {label!r}")
    width, height = (round(PIXELS_PER_INCH * inches) for inches in frame.get_size_inches())
    # The size lets the browser keep the place free; the style lets the picture shrink on a narrow screen.
    source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return (
        f'<img src="{source}" alt="{escape(alt, quote=True)}" width="{width}" height="{height}"'
        ' style="max-width: 100%; height: auto">'
    )
