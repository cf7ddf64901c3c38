"""What the last build of the site left: numbers, titles and places, read from its pickled environment."""

import pickle
import re
from pathlib import Path

import yaml
from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser


class Book:
    """Numbers, titles and places of the last build, and the addresses that follow from ``_config.yml``."""

    def __init__(self, root: Path) -> None:
        pickled = root / "_build/.doctrees/environment.pickle"
        if not pickled.exists():
            raise FileNotFoundError(f"no numbers yet ({pickled} is missing): build the site first: make book")
        self.root, self.env = root, pickle.loads(pickled.read_bytes())
        repository = yaml.safe_load((root / "_config.yml").read_text(encoding="utf8"))["repository"]
        url, branch = repository["url"], repository.get("branch", "main")
        address = re.fullmatch(r"https://github\.com/([^/]+)/([^/]+?)(?:\.git)?/?", url)
        if not address:
            raise ValueError(f"repository url in _config.yml must be https://github.com/<owner>/<name>, got {url}")
        host = f"{address[1]}.github.io"
        self.site = f"https://{host}" + ("" if address[2].lower() == host.lower() else f"/{address[2]}")
        self.archive = f"https://github.com/{address[1]}/{address[2]}/archive/{branch}.zip"
        # bare addresses need no rule: Jupyter links them by itself
        extensions = set(self.env.config.myst_enable_extensions) - {"linkify"}
        self.parser = create_md_parser(MdParserConfig(enable_extensions=extensions), RendererHTML)
        self.macros = ((self.env.config.mathjax3_config or {}).get("tex") or {}).get("macros") or {}
        self.statements = getattr(self.env, "proof_list", {})
        self.exercises = getattr(self.env, "sphinx_exercise_registry", {})
        self.places = self.env.domaindata["std"]

    def url(self, doc: str, anchor: str = "") -> str:
        return f"{self.site}/{doc}.html" + (f"#{anchor}" if anchor else "")

    def number(self, doc: str, anchor: str) -> tuple[str, str]:
        """Kind and number of what carries `anchor` on page `doc`, as ``("figure", "2.1")``; KeyError without number."""
        for kind, numbers in self.env.toc_fignumbers.get(doc, {}).items():
            if anchor in numbers:
                return kind, ".".join(map(str, numbers[anchor]))
        raise KeyError(anchor)

    def find(self, label: str) -> tuple[str, str, str]:
        """Page, anchor and title of a label of any sort; KeyError if the last build had no such label."""
        if label in self.statements:
            found = self.statements[label]
            number = "" if found["nonumber"] else f" {self.number(found['docname'], label)[1]}"
            return found["docname"], label, found["realtype"].capitalize() + number
        if label in self.exercises:
            doc = self.exercises[label]["docname"]
            return doc, label, f"Exercise {self.number(doc, label)[1]}"
        if label in self.env.domaindata["math"]["objects"]:
            doc, anchor = self.env.domaindata["math"]["objects"][label][0], f"equation-{label}"
            return doc, anchor, f"({self.number(doc, anchor)[1]})"
        label = label.lower()
        return self.places["labels"].get(label) or (*self.places["anonlabels"][label], "")
