"""Looks at a built site in a real browser whose network is cut, and names every fault that it finds."""

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import chromium
import gates
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Error, Locator, Page, sync_playwright

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip
DESK, PHONE = 1280, 390
WAIT = 60_000

# Formulas without a picture. MathJax sets one after the other, so the answer is worth waiting for.
UNSET = "() => [...document.querySelectorAll('.math')].filter(e => !e.parentElement.closest('.math')"
UNSET += " && !e.querySelector('mjx-container')).map(e => e.textContent.slice(0, 80))"

# A macro that MathJax does not know is set as red text, and a reference to nothing as ???: neither shows as an error in
# the page, so its own tree has to be read.
MATH = r"""() => {
  const faults = [...document.querySelectorAll('[data-mml-node=merror]')].map(e => 'MathJax error: ' + e.textContent);
  for (const item of (window.MathJax?.startup?.document?.math ?? [])) {
    item.root?.walkTree(node => {
      const text = node.kind === 'mtext' ? (node.childNodes ?? []).map(c => c.text ?? '').join('') : '';
      if (node.kind === 'merror') faults.push('MathJax error in ' + item.math.slice(0, 80));
      if (/^\\/.test(text) && node.attributes.getExplicit('mathcolor')) faults.push('unknown macro ' + text);
      if (text.includes('???')) faults.push('reference to nothing in ' + item.math.slice(0, 80));
    });
  }
  return [...new Set(faults)];
}"""

# What is cut off or scrolls within its own box does no harm.
OVERFLOW = """() => {
  if (document.documentElement.scrollWidth <= innerWidth) return [];
  const held = e => { for (e = e.parentElement; e && e !== document.body; e = e.parentElement)
    if (getComputedStyle(e).overflowX !== 'visible') return true; return false; };
  const wide = [...document.body.querySelectorAll('*')].filter(
    e => e.getBoundingClientRect().right > innerWidth + 1 && !held(e));
  return [`${document.documentElement.scrollWidth} pixels wide on a screen of ${innerWidth}: ` +
    wide.slice(-3).map(e => e.tagName.toLowerCase() + '.' + [...e.classList].join('.')).join(', ')];
}"""

UNFOLD = """() => {
  document.querySelectorAll('details').forEach(e => e.open = true);
  document.querySelectorAll('button.toggle-button.toggle-button-hidden').forEach(e => e.click());
}"""


class _Handler(SimpleHTTPRequestHandler):
    """Serves like a host of static pages: below the path of the project, and with 404.html where nothing is."""

    def __init__(self, *arguments: Any, prefix: str, **options: Any) -> None:
        self.prefix = prefix
        super().__init__(*arguments, **options)

    def translate_path(self, path: str) -> str:
        inside = path.startswith(self.prefix)
        return super().translate_path("/" + path.removeprefix(self.prefix) if inside else "/outside the project")

    def log_message(self, *arguments: Any) -> None:
        pass

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        page = Path(self.directory, "404.html")
        if code != 404 or not page.is_file():
            return super().send_error(code, message, explain)
        body = page.read_bytes()
        self.send_response(404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def served(root: Path) -> Iterator[str]:
    """The address of the site of the book at `root` while it is served."""
    prefix = gates.prefix(root)
    handler = functools.partial(_Handler, directory=str(root / "_build/html"), prefix=prefix)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{prefix}"
        server.shutdown()


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser, or one clear sentence."""
    path = chromium.find()
    if path is None:
        pytest.fail("No Chromium or Chrome was found: install one, or set CHROMIUM=/path/to/it", pytrace=False)
    with sync_playwright() as playwright:
        chrome = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield chrome
        chrome.close()


def _complains(said: Any) -> bool:
    # A file that is not there is named by its response already.
    return said.type == "error" and "Failed to load resource" not in said.text


@contextmanager
def opened(
    chrome: Browser, site: str, page: str, dark: bool = False, width: int = DESK
) -> Iterator[tuple[Page, list[str]]]:
    """The page, loaded, its formulas set; and the list to which faults are added while it stays open."""
    faults: list[str] = []
    context = chrome.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", reduced_motion="reduce"
    )

    def request(route: Any) -> None:
        if route.request.url.startswith((site, "data:", "blob:")):
            return route.continue_()
        faults.append(f"asks for {route.request.url}, which is outside")
        route.abort()

    context.route("**/*", request)
    tab = context.new_page()
    tab.on("console", lambda said: faults.append(f"console: {said.text}") if _complains(said) else None)
    tab.on("pageerror", lambda error: faults.append(f"error: {error}"))
    tab.on("response", lambda got: faults.append(f"status {got.status}: {got.url}") if got.status >= 400 else None)
    tab.goto(site + page, wait_until="load")
    try:
        tab.wait_for_function(f"({UNSET})().length === 0", timeout=WAIT)
    except Error:
        faults += [f"formula not set: {text}" for text in tab.evaluate(UNSET)]
    try:
        yield tab, faults
    finally:
        context.close()


def page_faults(chrome: Browser, site: str, page: str, dark: bool = False, width: int = DESK) -> list[str]:
    """All that is wrong with a page as it loads, folded and unfolded."""
    with opened(chrome, site, page, dark, width) as (tab, faults):
        if tab.evaluate("document.documentElement.dataset.theme") != ("dark" if dark else "light"):
            faults.append(f"is not {'dark' if dark else 'light'}")
        faults += tab.evaluate(OVERFLOW)
        _sliders(tab)
        tab.evaluate(UNFOLD)
        tab.wait_for_timeout(300)
        faults += tab.evaluate(OVERFLOW)
        faults += tab.evaluate(MATH)
        # without preload, which would fetch stylesheets from where they are not
        options = {"resultTypes": ["violations"], "preload": False}
        for violation in Axe().run(tab, options=options).response["violations"]:
            places = "; ".join(str(node["html"])[:160] for node in violation["nodes"][:3])
            faults.append(f"axe, {violation['impact']}: {violation['id']} ({violation['help']}): {places}")
        return list(dict.fromkeys(faults))


def _sliders(tab: Page) -> list[Locator]:
    """All sliders of the page, loaded; the scripts of widgets come only when they are about to be seen."""
    boxes = tab.locator('.cell_output:has(script[type="application/vnd.jupyter.widget-view+json"])').all()
    for box in boxes:
        box.scroll_into_view_if_needed()
        box.locator(".jupyter-widgets").first.wait_for(timeout=WAIT)
    return [box for box in boxes if box.locator(".noUi-handle").count()]


def slider_faults(chrome: Browser, site: str, page: str) -> list[str]:
    """Sliders whose picture does not change by keys or by mouse."""
    with opened(chrome, site, page) as (tab, faults):
        for number, box in enumerate(_sliders(tab), start=1):
            handle, picture = box.locator(".noUi-handle").first, box.locator("img").first
            picture.wait_for(timeout=WAIT)

            def turns(move: Callable[[], None], box: Locator = box) -> bool:
                before = box.locator("img").first.get_attribute("src")
                move()
                tab.wait_for_timeout(300)
                return box.locator("img").first.get_attribute("src") != before

            def drag(handle: Locator = handle, box: Locator = box) -> None:
                start, track = handle.bounding_box(), box.locator(".noUi-base").first.bounding_box()
                assert start is not None and track is not None, "the slider is not visible"
                tab.mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
                tab.mouse.down()
                tab.mouse.move(track["x"] + track["width"] - 1, track["y"] + track["height"] / 2, steps=10)
                tab.mouse.up()

            if not turns(lambda handle=handle: handle.press("ArrowRight")):  # type: ignore[misc]
                faults.append(f"slider {number} does not turn by keys")
            if not turns(drag):
                faults.append(f"slider {number} does not turn by mouse")
        return list(faults)


def fold_faults(chrome: Browser, site: str, page: str) -> list[str]:
    """Folded cells and boxes that the Enter key does not open."""
    with opened(chrome, site, page) as (tab, faults):
        for fold in tab.locator("article details > summary").all():
            if fold.is_visible() and not fold.evaluate("e => e.parentElement.open"):
                fold.press("Enter")
            if fold.is_visible() and not fold.evaluate("e => e.parentElement.open"):
                faults.append(f"does not open by keys: {fold.inner_text()[:60]}")
        for button in tab.locator("article button.toggle-button").all():
            if button.evaluate("e => e.classList.contains('toggle-button-hidden')"):
                button.press("Enter")
            if button.evaluate("e => e.classList.contains('toggle-button-hidden')"):
                faults.append(f"does not open by keys: {button.inner_text()[:60]}")
        return list(faults)


def search_faults(chrome: Browser, site: str, page: str, word: str) -> list[str]:
    """What is wrong with a search for a word, begun on a page by keys alone."""
    with opened(chrome, site, page) as (tab, faults):
        tab.keyboard.press("Control+k")
        tab.keyboard.type(word)
        tab.keyboard.press("Enter")
        try:
            tab.wait_for_url("**/search.html?q=*", timeout=10_000)
            tab.locator("#search-results li a").first.wait_for(timeout=10_000)
        except Error:
            faults.append(f"searching for {word!r} finds nothing")
        return list(faults)


def missing_page_faults(chrome: Browser, site: str, page: str = "no/such/page.html") -> list[str]:
    """What is wrong with the page shown where nothing is: it must look like a page and lead to the front page."""
    with opened(chrome, site, page) as (tab, faults):
        faults[:] = [fault for fault in faults if fault != f"status 404: {site}{page}"]
        if "not found" not in tab.locator("h1").first.inner_text().lower():
            faults.append("has no heading that says so")
        home = tab.locator("a[href$='book/index.html'], a[href$='/index.html'], a[href='index.html']")
        address = home.first.evaluate("e => e.href") if home.count() else None
        if address is None or not tab.request.get(address).ok:
            faults.append(f"leads back to {address}, where nothing is")
        return list(faults)
