"""An interpreter that otter takes for Google Colab's, and a student who works through an assignment there."""

import os
import subprocess
import sys
from pathlib import Path

SHELL = """
import sys
import nbformat
from IPython.core.interactiveshell import InteractiveShell

class Shell(InteractiveShell):
    pass

Shell.__module__ = "google.colab._shell"  # what otter looks for
shell = Shell.instance()
assert "google.colab" in str(shell)

def run(source):
    result = shell.run_cell(source, store_history=False)
    result.raise_error()
    return result.result
"""
STUDENT = """
student, solved = (nbformat.read(path, as_version=4) for path in {paths})
code = [cell for cell in student.cells if cell.cell_type == "code"]
checks = lambda: [str(run(cell.source)) for cell in code if cell.source.startswith("grader.check")]
answers = [cell for cell in code if "otter_answer_cell" in cell.metadata.get("tags", [])]
for cell in code[:4] + answers:
    run(cell.source)
for text in checks():
    assert "is still a stub" in text, text
for cell in solved.cells:
    if "otter_answer_cell" in cell.metadata.get("tags", []) and cell.cell_type == "code":
        run(cell.source)
found = checks()
assert len(found) == 5 and all("passed" in text and "failed" not in text for text in found), found
print("all", "well")
"""


def run(code: str, folder: Path, python: str | Path = sys.executable) -> str:
    """What this code prints, errors too, in that folder; ``run(source)`` in it runs a cell."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-c", SHELL + code], cwd=folder, env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=120,
    )  # fmt: skip
    return done.stdout


def work_through(student: Path, solved: Path, folder: Path, python: str | Path = sys.executable) -> None:
    """Run the opening cells and the stubs, which all checks must name, then the solutions, which must pass them."""
    said = run(STUDENT.format(paths=repr((str(student), str(solved)))), folder, python)
    assert said.rstrip().endswith("all well"), said
