"""A page of the book, and how it names other pages, statements, formulas, pictures and papers."""

import posixpath
import re
from pathlib import Path
from typing import Any, NoReturn

from pybtex.backends.markdown import Backend
from sphinxcontrib.bibtex.citation_target import parse_citation_targets

from book._ext.built_book import Book


class Page:
    """Where a page lies in the built book; refuses, naming file and line, what it cannot name."""

    def __init__(self, book: Book, path: Path) -> None:
        self.book, self.path = book, path
        self.name = path.relative_to(book.root).as_posix()
        self.doc = self.name.removesuffix(".md")

    def fail(self, line: int, message: str) -> NoReturn:
        raise ValueError(f"{self.name}:{line}: {message}")

    def find(self, label: str, line: int) -> tuple[str, str, str]:
        try:
            return self.book.find(label)
        except KeyError:
            self.fail(line, f"the last build knew no label {label!r}: make book")

    def kind_and_number(self, label: str, line: int) -> tuple[str, str]:
        doc, anchor, _ = self.find(label, line)
        try:
            return self.book.number(doc, anchor)
        except KeyError:
            self.fail(line, f"the last build gave no number to {label!r}: refer to it by its title")

    def name_and_number(self, label: str, line: int) -> str:
        """As the site has it: "Theorem 2.1", "Fig. 2.3"."""
        if label in self.book.statements or label in self.book.exercises:
            return self.find(label, line)[2]
        kind, number = self.kind_and_number(label, line)
        return str(self.book.env.config.numfig_format[kind] % number)

    def role(self, name: str, content: str, line: int) -> str:
        """A role as plain Markdown."""
        explicit = re.fullmatch(r"(.*?)\s*<([^<>]+)>", content)
        title, target = explicit.groups() if explicit else ("", content)
        if name in ("cite", "cite:t", "cite:p"):
            return self.cite(content, name == "cite:t", line)
        if name in ("ref", "eq", "prf:ref"):
            doc, anchor, found = self.find(target, line)
            return self.refer(title or found, doc, anchor, line)
        if name == "numref":
            doc, anchor, _ = self.find(target, line)
            number = self.kind_and_number(target, line)[1]
            title = title.replace("%s", number).replace("{number}", number)
            return self.refer(title or self.name_and_number(target, line), doc, anchor, line)
        if name == "doc":
            return self.refer(title, self.page(target, line), "", line)
        if name == "term":
            terms = {key[1].lower(): place for key, place in self.book.places["objects"].items() if key[0] == "term"}
            doc, anchor = terms.get(target.lower()) or self.fail(line, f"the glossary does not know {target!r}")
            return self.refer(title or target, doc, anchor, line)
        if name in ("sub", "sup"):
            return f"<{name}>{content}</{name}>"
        if name == "abbr":
            return content
        self.fail(line, f"the role {{{name}}} has no plain form")

    def page(self, target: str, line: int) -> str:
        """The page that `target`, absolute or relative to this one, names."""
        doc = self.path_in_book(target.removesuffix(".md"))
        return doc if doc in self.book.env.titles else self.fail(line, f"the last build had no page {doc}: make book")

    def path_in_book(self, path: str) -> str:
        """As Sphinx reads it: from the root if it starts with a slash, else from this page's folder."""
        return posixpath.normpath(posixpath.join("/", posixpath.dirname(self.doc), path)).lstrip("/")

    def refer(self, title: str, doc: str, anchor: str, line: int) -> str:
        """A link to the site; on this page itself the name alone."""
        if not title and anchor:
            self.fail(line, f"{anchor} has no title to show: give one")
        title = title or self.book.env.titles[doc].astext()
        return title if doc == self.doc else f"[{title}]({self.book.url(doc, anchor)})"

    def link(self, url: str, line: int) -> tuple[str, str]:
        """Address and title of what a Markdown link names."""
        if re.match(r"https?://|mailto:", url):
            return url, url
        path, _, anchor = url.partition("#")
        if path and not path.endswith(".md"):
            self.fail(line, f"a link to {url} has no plain form")
        doc, anchor, title = (self.page(path, line), anchor, "") if path else self.find(anchor, line)
        return self.book.url(doc, anchor), title or self.book.env.titles[doc].astext()

    def image(self, path: str, line: int) -> str:
        """The address on the site of a picture of the book."""
        if re.match(r"https?://", path):
            return path
        file = self.path_in_book(path)
        if file not in self.book.env.images:
            self.fail(line, f"the last build had no picture {file}: make book")
        return f"{self.book.site}/_images/{self.book.env.images[file][1]}"

    def cite(self, content: str, textual: bool, line: int) -> str:
        """``[Li et al. (2024)](address)``, or all in brackets."""
        known: dict[str, Any] = {c.key: c for c in self.book.env.domaindata["cite"]["citations"]}
        out = []
        for target in parse_citation_targets(content):
            cited = known.get(target.key) or self.fail(line, f"the bibliography does not know {target.key!r}")
            authors = cited.entry.persons["author"]
            names = [" ".join(map(str, a.rich_prelast_names + a.rich_last_names)) for a in authors]
            who = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
            year = cited.entry.fields["year"]
            url = self.book.url(cited.bibliography_key.docname)  # its anchor would change with every new entry
            text = f"[{who} ({year})]({url})" if textual else f"[{who}, {year}]({url})"
            out.append(" ".join(filter(None, [target.pre, text + (f", {target.post}" if target.post else "")])))
        return ", ".join(out) if textual else f"({'; '.join(out)})"

    def references(self) -> str:
        """What the bibliography of this page lists."""
        cited = [c for c in self.book.env.domaindata["cite"]["citations"] if c.bibliography_key.docname == self.doc]
        return "\n".join("- " + " ".join(c.formatted_entry.text.render(Backend()).split()) for c in cited)
