"""Versions agree, the address is the same everywhere, and what stands in the way is said in one sentence."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import address
import pages
import pytest
import yaml
from jupyter_client.kernelspec import KernelSpecManager
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import lrsparse
from book._ext.notebook_edition import declared_extra, required_by

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
REQUIRED = [Requirement(line) for lines in [PROJECT["dependencies"], *EXTRAS.values()] for line in lines]


def pins(text: str) -> dict[str, Version]:
    """Exact versions in a constraints file."""
    lines = [line.split("==") for line in text.splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in lines}


PINS = pins((ROOT / "constraints.txt").read_text())


def out_of_range(required: list[Requirement], pinned: dict[str, Version]) -> list[str]:
    """Requirements without a pin, or whose pin they do not allow."""
    versions = {r: pinned.get(canonicalize_name(r.name)) for r in required}
    return [f"{r} against {v}" for r, v in versions.items() if v is None or not r.specifier.contains(v)]


# -- versions ---------------------------------------------------------------------------------------------------------


def test_every_requirement_is_pinned_within_its_range() -> None:
    assert out_of_range(REQUIRED, PINS) == []


def test_a_pin_that_is_missing_or_out_of_range_is_red() -> None:
    required = [Requirement("torch>=2.4"), Requirement("jupyter-book>=1.0.4.post1,<2"), Requirement("numpy>=1.26")]
    pinned = pins("# tested\ntorch==2.3.1\njupyter_book==2.1.7\n")
    assert len(out_of_range(required, pinned)) == 3


def test_the_installed_versions_are_the_tested_ones() -> None:
    installed = {canonicalize_name(d.name): Version(Version(d.version).public) for d in metadata.distributions()}
    assert {name: v for name, v in installed.items() if name in PINS and v != PINS[name]} == {}


def test_the_package_leaves_torch_and_numpy_of_a_hosted_notebook_alone() -> None:
    ranges = {r.name: r.specifier for r in map(Requirement, PROJECT["dependencies"])}
    assert all(s.operator == ">=" for specifier in ranges.values() for s in specifier)
    # What Colab had in 2024; it is newer now, and supports no ipywidgets 8.
    seen = {"torch": "2.4.0", "numpy": "1.26.4", "ipywidgets": "7.7.1", "ipython": "7.34.0"}
    assert [name for name, version in seen.items() if version not in ranges[name]] == []


def test_environment_yml_says_the_same() -> None:
    python, _, pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert Version(python.split("=")[1]) in Requirement(f"python{PROJECT['requires-python']}").specifier
    assert pip == {"pip": ["-c constraints.txt", f"-e .[{','.join(EXTRAS)}]"]}


def test_the_version_of_the_book_stands_once_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert newest is not None
    copies = [metadata.version("lrsparse"), citation["version"], newest[1]]
    assert copies == [lrsparse.__version__] * 3


CHAPTERS = sorted((ROOT / "book").rglob("*.md"))


def imported_modules(code: str) -> set[str]:
    """First names of all that this code imports."""
    return set(re.findall(r"^\s*(?:import|from) (\w+)", code, re.M))


def distributions_of(modules: set[str]) -> set[str]:
    found = metadata.packages_distributions()
    third_party = modules - sys.stdlib_module_names - {"lrsparse"}
    return {str(canonicalize_name(found[name][0])) for name in third_party}


def cells(chapter: str) -> str:
    return "\n".join(re.findall(r"^```\{code-cell\}[^\n]*\n(.*?)^```", chapter, re.S | re.M))


def strange_imports(chapter: str) -> set[str]:
    """What a chapter imports beyond the requirements of the package and of the extra that it declares."""
    allowed = {Requirement(line).name for line in PROJECT["dependencies"]}
    allowed.update(required_by(ROOT, declared_extra(chapter)))
    return distributions_of(imported_modules(cells(chapter))) - {str(canonicalize_name(name)) for name in allowed}


def test_what_a_notebook_imports_is_what_the_package_requires() -> None:
    texts = {path: path.read_text(encoding="utf8") for path in CHAPTERS}
    assert {path.name: strange_imports(text) for path, text in texts.items() if strange_imports(text)} == {}
    code = [path.read_text() for path in (ROOT / "lrsparse").rglob("*.py")] + [cells(text) for text in texts.values()]
    needed = distributions_of(imported_modules("\n".join(code)))
    lines = PROJECT["dependencies"] + [
        line for extra in set(map(declared_extra, texts.values())) - {""} for line in EXTRAS[extra]
    ]
    assert needed == {canonicalize_name(Requirement(line).name) for line in lines}


def test_an_import_that_no_requirement_or_extra_allows_is_red() -> None:
    cell = "```{code-cell} ipython3\nimport torch, json\nfrom transformers import AutoModel\n```\n"
    assert strange_imports(cell) == {"transformers"}
    assert strange_imports("---\nextra: real\n---\n" + cell) == set()


# -- the address ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", [
    "", "you/repo", "http://github.com/you/repo", "https://gitlab.com/you/repo", "https://github.com/you",
    "https://github.com/you/repo/tree/main", "https://github.com/you/repo?x=1", "https://github.com/-you/repo",
])  # fmt: skip
def test_a_wrong_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="URL must be https://github"):
        address.parse(url)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A little project that holds its address in every form."""
    (tmp_path / "_config.yml").write_text("repository: {url: https://github.com/old-me/a.book, branch: main}\n")
    (tmp_path / "README.md").write_text(
        "https://github.com/old-me/a.book.git https://old-me.github.io/a.book/book/index.html\n"
        "https://colab.research.google.com/github/old-me/a.book/blob/main/x.ipynb\n"
        "https://github.com/old-me/a.book-two https://github.com/old-me/aXbook https://github.com/them/a.book\n"
    )
    (tmp_path / "book").mkdir()
    (tmp_path / "book/x.ipynb").write_text('"lrsparse @ https://github.com/old-me/a.book/archive/main.zip"\n')
    (tmp_path / "_build").mkdir()
    (tmp_path / "_build/x.md").write_text("https://github.com/old-me/a.book\n")
    return tmp_path


def test_the_address_is_rewritten_once_and_nothing_else_is(tree: Path) -> None:
    changed = address.rewrite(tree, "https://github.com/you/book.git")
    assert [path.name for path in changed] == ["README.md", "_config.yml", "x.ipynb"]
    assert (tree / "README.md").read_text() == (
        "https://github.com/you/book.git https://you.github.io/book/book/index.html\n"
        "https://colab.research.google.com/github/you/book/blob/main/x.ipynb\n"
        "https://github.com/old-me/a.book-two https://github.com/old-me/aXbook https://github.com/them/a.book\n"
    )
    assert "https://github.com/you/book/archive/main.zip" in (tree / "book/x.ipynb").read_text()
    assert "old-me" in (tree / "_build/x.md").read_text()
    assert address.rewrite(tree, "https://github.com/you/book/") == []


def test_the_address_can_be_changed_back(tree: Path) -> None:
    before = {path: path.read_text() for path in address.texts(tree)}
    address.rewrite(tree, "https://github.com/you/you.github.io")
    assert "https://you.github.io/book/index.html" in (tree / "README.md").read_text()
    address.rewrite(tree, "https://github.com/old-me/a.book")
    assert {path: path.read_text() for path in address.texts(tree)} == before


def strangers(root: Path) -> list[str]:
    """Files that hold another address of this book than _config.yml does, and files that should hold it and do not.

    Tests may hold another: they plant it.
    """
    owner, name = address.current(root)
    own = f"https://github.com/{owner}/{name}"
    faults = []
    for path in address.texts(root):
        if "tests" in path.relative_to(root).parts:
            continue
        text = path.read_text()
        found = re.findall(rf"github\.com/([\w-]+)/{re.escape(name)}(?![\w-])", text)
        found += re.findall(rf"//([\w-]+)\.github\.io/{re.escape(name)}(?![\w-])", text)
        faults += [f"{path.relative_to(root)}: {other}" for other in found if other != owner]
    holders = ["README.md", "CITATION.cff", "pyproject.toml", "_config.yml"]
    holders += [str(path.relative_to(root)) for path in (root / "book").rglob("*.ipynb")]
    return faults + [f"{holder}: no address" for holder in holders if own not in (root / holder).read_text()]


def test_all_copies_of_the_address_agree() -> None:
    assert strangers(ROOT) == []


def test_a_copy_that_differs_or_is_missing_is_red(tree: Path) -> None:
    (tree / "CITATION.cff").write_text("repository-code: https://github.com/them/a.book\n")
    (tree / "pyproject.toml").write_text("https://github.com/old-me/a.book https://them.github.io/a.book\n")
    (tree / "README.md").write_text("https://github.com/old-me/a.book\n")
    assert strangers(tree) == ["CITATION.cff: them", "pyproject.toml: them", "CITATION.cff: no address"]


# -- what stands in the way -------------------------------------------------------------------------------------------


def preflight(before: str) -> str:
    """What preflight.py says after `before` has changed the interpreter; it must fail."""
    code = f"import sys, runpy\n{before}\nrunpy.run_path('tools/preflight.py', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    return done.stderr


def test_an_old_and_a_too_new_python_are_named() -> None:
    assert "Python 3.11 to 3.14 is needed, but" in preflight("sys.version_info = (3, 9, 18)")
    assert "is Python 3.15: say make PYTHON=" in preflight("sys.version_info = (3, 15, 0)")


def test_a_missing_venv_is_named() -> None:
    said = preflight("sys.modules['ensurepip'] = None")
    assert f"apt install python3.{sys.version_info[1]}-venv" in said and said.count("\n") == 1


def test_an_intel_mac_is_named() -> None:
    said = preflight("import platform\nplatform.system = lambda: 'Darwin'\nplatform.machine = lambda: 'x86_64'")
    assert "for Intel Macs" in said


def test_preflight_is_silent_here_and_runs_on_an_old_python() -> None:
    assert subprocess.run([sys.executable, "tools/preflight.py"], cwd=ROOT, timeout=60).returncode == 0
    ast.parse((ROOT / "tools/preflight.py").read_text(), feature_version=(3, 6))


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command at the root, in a small environment."""
    surroundings = {"PATH": "/usr/bin:/bin", **environment}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, env=surroundings)


def test_a_python_that_is_not_there_is_named(tmp_path: Path) -> None:
    for name in ["Makefile", "pyproject.toml", "constraints.txt"]:
        shutil.copy(ROOT / name, tmp_path)
    done = run("make", "-C", str(tmp_path), "book", "PYTHON=no-such-python")
    assert done.returncode != 0 and "There is no no-such-python: install Python 3.11 or newer" in done.stderr


def test_an_address_that_is_not_set_is_named() -> None:
    done = run("make", "address", f"PYTHON={sys.executable}")
    assert done.returncode != 0 and "none was given: make address URL=" in done.stderr


def test_a_browser_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = run(sys.executable, "tools/chromium.py", CHROMIUM=str(tmp_path / "none"))
    assert done.returncode == 1 and "make check CHROMIUM=" in done.stderr
    browser = tmp_path / "chromium"
    browser.write_text("#!/bin/sh\n")
    browser.chmod(0o755)
    assert run(sys.executable, "tools/chromium.py", PATH=str(tmp_path)).stdout == f"{browser}\n"


# -- make and its files -----------------------------------------------------------------------------------------------


def test_help_is_the_default_and_lists_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert phony is not None
    assert [line.split()[1] for line in run("make").stdout.splitlines()] == phony[1].split()


def test_the_kernel_is_the_one_of_this_environment() -> None:
    assert KernelSpecManager().get_kernel_spec("python3").resource_dir.startswith(sys.prefix)


def test_ci_runs_the_same_commands_as_the_readme_names() -> None:
    commands = re.findall(r"^make \w+", (ROOT / ".ci/run").read_text(), re.M)
    assert commands == ["make test", "make book", "make check"]
    readme = (ROOT / "README.md").read_text()
    assert [command for command in commands if command not in readme] == []


def test_an_entry_of_the_toc_without_a_page_is_red(tmp_path: Path) -> None:
    chapters = "[{file: book/a/x, sections: [{file: book/a/y}]}]"
    (tmp_path / "_toc.yml").write_text(f"root: book/index\nparts: [{{caption: A, chapters: {chapters}}}]")
    (tmp_path / "_build/html/book/a").mkdir(parents=True)
    (tmp_path / "_build/html/book/index.html").touch()
    (tmp_path / "_build/html/book/a/x.html").touch()
    assert pages.missing(tmp_path) == ["book/a/y"]


def test_citation_and_forms_hold_what_they_must() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0" and {"message", "title", "authors"} <= citation.keys()
    form = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/erratum.yml").read_text())
    required = {field["id"] for field in form["body"] if field.get("validations", {}).get("required")}
    assert required == {"page", "statement", "wrong", "reach"}
