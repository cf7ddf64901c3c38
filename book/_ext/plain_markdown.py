"""MyST Markdown as plain Markdown, which Jupyter and Colab show as it is meant.

Numbers, titles and places come from the last build of the site. What has no rule here raises a ValueError naming file
and line, so that nothing half converted can reach a reader.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from markdown_it.token import Token
from sphinx_proof.proof_type import PROOF_TYPES

from book._ext.built_book import Book
from book._ext.page import Page

BOXES = ("note", "tip", "hint", "warning", "caution", "danger", "error", "attention", "important", "seealso",
         "admonition", "topic", "sidebar", "margin", "dropdown")  # fmt: skip
ATTRIBUTES = r"(?:\{[^{}`]*\}(?!`))?"  # looks, which are the site's affair
INLINE = re.compile(
    rf"""\\. | (?P<comment><!--.*?-->) | (?P<display>\$\$) | (?P<never>\{{\{{ | \]\{{ | <(?:project|path|inv|myst):)
    | \{{(?P<role>[\w+:-]+)\}}(?P<fence>`+)(?P<content>.+?)(?P=fence)
    | (?P<code>(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)){ATTRIBUTES}
    | \$(?P<math>(?:\\.|[^$\\])+)\$
    | !\[(?P<alt>[^\]]*)\]\((?P<image>[^)\s]+)\){ATTRIBUTES}
    | (?P<bare>\[)?\]\(<?(?P<link>[^)\s>]+)>?(?P<rest>[^)]*\)){ATTRIBUTES}
    | \[\^(?P<note>[^\]\s]+)\](?P<define>:\s*)?""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A directive, read."""

    name: str
    title: str
    options: dict[str, str]
    body: str
    line: int
    fence: str

    @property
    def label(self) -> str:
        return self.options.get("label") or self.options.get("name", "")

    @property
    def folded(self) -> bool:
        return "dropdown" in self.options.get("class", "")


def box(head: str, text: str, fold: bool) -> str:
    """A framed text: a quotation, or details that unfold."""
    if fold:
        head = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", head)  # Markdown rests inside a summary
        return f"<details>\n<summary>{head}</summary>\n\n{text}\n\n</details>"
    # Jupyter reads a ">" inside displayed mathematics as "greater than", so that stands on one line
    text = re.sub(r"\$\$.+?\$\$", lambda m: " ".join(m[0].split()), f"{head}\n\n{text}".strip(), flags=re.DOTALL)
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


class PlainText(Page):
    """Converts one page; remembers, over its cells, its footnotes and whether a solution is open."""

    def __init__(self, book: Book, path: Path) -> None:
        super().__init__(book, path)
        self.hidden = False
        self.notes: dict[str, int] = {}

    # blocks

    def blocks(self, text: str, line: int) -> str:
        """Convert Markdown whose first line is number `line` of the file; what no rule touches stays as it is."""
        lines, out, done = text.split("\n"), [], 0
        for token in self.book.parser.parse(text + "\n"):
            if token.map is None or token.map[0] < done or not (rule := self.rule(token)):
                continue
            begin, end = token.map[0], min(token.map[1], len(lines))
            if token.type == "amsmath":  # its parser leaves the last line out
                end = begin + token.content.count("\n") + 1
            was_hidden, raw = self.hidden, "\n".join(lines[begin:end])
            new = rule(token, raw, line + begin)
            if not was_hidden:
                out += lines[done:begin]
            done = end
            if was_hidden or self.hidden:
                continue
            if not new:  # what leaves nothing leaves one empty line
                done += done < len(lines) and not lines[done].strip()
                out += [""] if out and out[-1].strip() else []
                continue
            if token.type == "inline":
                out += new.split("\n")
                continue
            # in a list or a quotation the first line keeps its mark, the others its indentation
            found = re.match(r"[\s>]*(?:(?:[-*+]|\d+[.)])\s+)?", raw)
            mark = found[0] if found else ""
            rest = re.sub(r"[^>]", " ", mark)
            if out and out[-1].strip(" >") and not mark.strip(" >"):
                out.append(rest.rstrip())
            out += (mark + new).replace("\n", "\n" + rest).split("\n")
            if done < len(lines) and lines[done].strip(" >"):
                out.append(rest.rstrip())
        text = "\n".join(out + ([] if self.hidden else lines[done:]))
        return text.strip("\n")

    def rule(self, token: Token) -> Callable[[Token, str, int], str] | None:
        """What converts a token, called with it, its raw lines and the number of the first; None for what stays."""
        if token.type in ("fence", "colon_fence") and token.info.startswith("{"):
            return self.directive if not self.hidden or token.info.startswith("{solution") else None
        rules: dict[str, Callable[[Token, str, int], str]] = {
            "inline": lambda _, raw, line: self.inline(raw, line),
            "math_block": lambda token, *_: self.display(token.content),
            "math_block_label": lambda token, _, line: self.display(token.content, token.info, line),
            "amsmath": self.environment,
            "html_block": lambda _, raw, line: re.sub(r"<!--.*?-->", "", raw, flags=re.DOTALL).strip(),
            "myst_target": lambda *_: "",
            "myst_line_comment": lambda *_: "",
            **dict.fromkeys(("colon_fence", "dl_open", "substitution_block", "myst_block_break"), self.refuse),
        }
        return None if self.hidden else rules.get(token.type)

    def refuse(self, token: Token, raw: str, line: int) -> str:
        self.fail(line, f"this has no plain form: {raw.splitlines()[0]}")

    def directive(self, token: Token, raw: str, line: int) -> str:
        """A directive as plain Markdown."""
        head = re.fullmatch(r"\{([\w+:-]+)\}\s*(.*)", token.info.strip())
        content, options = token.content.rstrip("\n").split("\n"), {}
        if not head or content[0].strip() == "---":
            self.fail(line, "a directive must read {name} title, its options :key: value")
        while content and (option := re.fullmatch(r":([\w-]+):\s*(.*)", content[0])):
            options[option[1]] = option[2].strip()
            content.pop(0)
        block = Block(head[1], head[2], options, "\n".join(content), line, token.markup.replace(":", "`"))
        if block.name in ("solution-start", "solution-end"):
            if self.hidden == (block.name == "solution-start"):
                self.fail(line, f"{block.name} without its other half")
            self.hidden = not self.hidden
        if block.name in ("solution", "solution-start", "solution-end", "exercise-end", "index"):
            return ""
        if block.name.startswith("prf:") or block.name in ("exercise", "exercise-start"):
            return self.statement(block)
        rules: dict[str, Callable[[Block], str]] = {
            **dict.fromkeys(BOXES, self.admonition),
            **dict.fromkeys(("figure", "image"), self.figure),
            **dict.fromkeys(("code", "code-block"), lambda b: f"{b.fence}{b.title}\n{b.body}\n{b.fence}"),
            "bibliography": lambda _: self.references(),
            "math": lambda b: self.display("\n".join(filter(None, [b.title, b.body])), b.label, b.line),
            "table": lambda b: f"**{self.numbered(b)}** {self.inline(b.title, b.line)}\n\n{self.body(b)}",
            "tab-set": self.body,
            "tab-item": lambda b: f"**{self.inline(b.title, b.line)}**\n\n{self.body(b)}",
        }
        rule = rules.get(block.name) or self.fail(line, f"the directive {{{block.name}}} has no plain form")
        return rule(block)

    def body(self, block: Block) -> str:
        return self.blocks(block.body, block.line + 1 + len(block.options))

    def statement(self, block: Block) -> str:
        """A theorem and its like, a proof, or an exercise."""
        text, kind = self.body(block), block.name.removeprefix("prf:").removesuffix("-start")
        if kind == "proof":
            head = "*Proof.* " if text[:1].isalpha() else "*Proof.*\n\n"
            return box("Proof", text, True) if block.folded else head + text
        if kind != "exercise" and kind not in PROOF_TYPES:
            self.fail(block.line, f"the directive {{{block.name}}} has no plain form")
        # a statement without a label goes without its number: nothing can refer to it
        plain = "nonumber" in block.options or (kind != "exercise" and not block.label)
        head = f"**{kind.capitalize() if plain else self.numbered(block)}**"
        head += f" ({self.inline(block.title, block.line)})" if block.title else ""
        # an exercise may go on over code cells, so it has no frame
        frame = block.folded or kind != "exercise"
        return box(head, text, block.folded) if frame else f"{head}\n\n{text}".rstrip()

    def admonition(self, block: Block) -> str:
        untitled = {"margin": "", "sidebar": "", "seealso": "See also"}.get(block.name, block.name.capitalize())
        title = self.inline(block.title, block.line) or untitled
        return box(f"**{title}**" if title else "", self.body(block), block.folded or block.name == "dropdown")

    def figure(self, block: Block) -> str:
        picture = f"![{block.options.get('alt', '')}]({self.image(block.title, block.line)})"
        caption = self.body(block)
        return f"{picture}\n\n**{self.numbered(block)}** {caption}" if caption else picture

    def numbered(self, block: Block) -> str:
        if not block.label:
            self.fail(block.line, f"{{{block.name}}} carries a number on the site, so it needs a label")
        return self.name_and_number(block.label, block.line)

    # mathematics

    def display(self, tex: str, label: str = "", line: int = 0) -> str:
        """A displayed formula, aligned where Sphinx aligns it, with the number of the site."""
        tex = " \\\\\n".join(part.strip() for part in re.split(r"\n\s*\n", self.tex(tex)))
        if "\\\\" in tex and not re.fullmatch(r"\\begin\{(\w+\*?)\}.*\\end\{\1\}", tex, re.DOTALL):
            tex = f"\\begin{{aligned}}\n{tex}\n\\end{{aligned}}"
        return "$$\n" + tex + (f"\n\\tag{{{self.find(label, line)[2][1:-1]}}}" if label else "") + "\n$$"

    def environment(self, token: Token, raw: str, line: int) -> str:
        if token.meta["numbered"] != "*":
            self.fail(line, "this gets a number that nothing can refer to: write $$ ... $$ (label), or add a star")
        return self.tex(raw)

    def tex(self, tex: str) -> str:
        """Mathematics without comments and labels, the macros of the book written out."""
        tex = re.sub(r"(?<!\\)%.*|\\label\{[^}]*\}", "", tex)
        for name, macro in self.book.macros.items():
            text, count = macro[:2] if isinstance(macro, list) else (macro, 0)
            use = rf"\\{name}(?![A-Za-z])" + r"\s*\{((?:[^{}]|\{[^{}]*\})*)\}" * count
            tex = re.sub(use, lambda m, t=text: re.sub(r"#(\d)", lambda k: m[int(k[1])], t), tex)  # type: ignore[misc]
        return tex.strip()

    # running text

    def inline(self, raw: str, line: int) -> str:
        """Convert running text; code in it stays as it is."""
        return INLINE.sub(lambda m: self.piece(m, line + raw.count("\n", 0, m.start())), raw)

    def piece(self, m: re.Match[str], line: int) -> str:
        if m["role"]:
            content = " ".join(m["content"].split())
            return f"${self.tex(content)}$" if m["role"] == "math" else self.role(m["role"], content, line)
        if m["math"]:
            return "$" + re.sub(r"\s*\n[\s>]*", " ", self.tex(m["math"])) + "$"
        if m["image"]:
            return f"![{m['alt']}]({self.image(m['image'], line)})"
        if m["link"]:
            url, title = self.link(m["link"], line)
            return (f"[{title}" if m["bare"] else "") + f"]({url}{m['rest']}"
        if m["note"]:
            number = self.notes.setdefault(m["note"], len(self.notes) + 1)
            return f"\n<sup>{number}</sup> " if m["define"] else f"<sup>{number}</sup>"
        if m["display"]:
            self.fail(line, "displayed mathematics needs an empty line before it")
        if m["never"]:
            self.fail(line, f"{m['never']} has no plain form")
        return "" if m["comment"] else m["code"] or m[0]
