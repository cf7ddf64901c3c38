"""Prints the path of a Chromium or Chrome, or fails with one sentence. CHROMIUM in the environment goes first."""

import os
import shutil
import sys

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)


def find() -> str | None:
    """The first browser that can be run."""
    named = os.environ.get("CHROMIUM")
    return next(filter(None, map(shutil.which, [named] if named else NAMES)), None)


if __name__ == "__main__":
    path = find()
    if path is None:
        sys.exit("No Chromium or Chrome was found: install one, or say where it is: make check CHROMIUM=/path/to/it")
    print(path)
