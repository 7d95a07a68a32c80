"""What the site generator does not check: the navigation, the diagrams, and what the built pages load.

A page that is not in the navigation cannot be found. An error in a diagram is shown as the diagram's source. A script,
style sheet, font or image from another host would be loaded whenever somebody opens a page; the site must work without
a network.
"""

import re
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from documentation import sequence_diagram

LOADED: Final = {
    "audio": "src",
    "embed": "src",
    "iframe": "src",
    "image": "href",
    "img": "src",
    "object": "data",
    "script": "src",
    "source": "src",
    "use": "href",
    "video": "src",
}
"""Elements that make a browser load what the attribute names."""

LOADING_LINKS: Final = {
    "dns-prefetch",
    "icon",
    "manifest",
    "modulepreload",
    "preconnect",
    "prefetch",
    "preload",
    "stylesheet",
}
"""Values of `rel` with which a `link` makes a browser open a connection."""

_DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_IN_CSS = re.compile(r"""(?:url\(|@import\s+)\s*["']?((?:https?:)?//[^"')\s]+)""")


def complaints(root: Path, site: Path) -> Iterator[str]:
    """Every mistake, one line each."""
    configuration = tomllib.loads((root / "zensical.toml").read_text(encoding="utf-8"))["project"]
    pages = root / configuration["docs_dir"]
    yield from navigation_complaints(configuration["nav"], pages)
    yield from diagram_complaints(pages)
    yield from loading_complaints(site)


def navigation_complaints(navigation: list[dict[str, Any]], pages: Path) -> Iterator[str]:
    """Pages that the navigation names and that do not exist, names twice, or does not name."""
    named = list(_named(navigation))
    there = {str(path.relative_to(pages)) for path in pages.rglob("*.md")}
    yield from (f"navigation: {page} does not exist" for page in named if page not in there)
    yield from (
        f"navigation: {page} is named twice" for page in sorted({page for page in named if named.count(page) > 1})
    )
    yield from (f"navigation: {page} is missing" for page in sorted(there - set(named)))


def _named(entries: list[dict[str, Any]]) -> Iterator[str]:
    for entry in entries:
        for below in entry.values():
            if isinstance(below, str):
                yield below
            else:
                yield from _named(below)


def diagram_complaints(pages: Path) -> Iterator[str]:
    """Diagrams that cannot be drawn."""
    for path in sorted(pages.rglob("*.md")):
        for source in _DIAGRAM.findall(path.read_text(encoding="utf-8")):
            try:
                sequence_diagram.draw(sequence_diagram.parse(source))
            except sequence_diagram.UnknownLine as error:
                yield f"{path.relative_to(pages)}: diagram: {error}"


def loading_complaints(site: Path) -> Iterator[str]:
    """Everything that a built page or style sheet loads from another host."""
    for path in sorted(site.rglob("*.html")):
        page = _Page()
        page.feed(path.read_text(encoding="utf-8"))
        yield from (f"{path.relative_to(site)}: loads {address}" for address in page.loads if _elsewhere(address))
    for path in sorted(site.rglob("*.css")):
        found = _IN_CSS.findall(path.read_text(encoding="utf-8"))
        yield from (f"{path.relative_to(site)}: loads {address}" for address in found)


def _elsewhere(address: str) -> bool:
    return bool(urlsplit(address.strip()).netloc)


class _Page(HTMLParser):
    """Collects what a browser loads with a page: `loads`."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the address of an element that loads something."""
        values = {name: value or "" for name, value in attrs}
        self._in_style = tag == "style"
        if tag == "link" and LOADING_LINKS & set(values.get("rel", "").split()):
            self.loads.append(values.get("href", ""))
        if tag in LOADED:
            self.loads.append(values.get(LOADED[tag], ""))
        self.loads.extend(part.split()[0] for part in values.get("srcset", "").split(",") if part.strip())
        self.loads.extend(_IN_CSS.findall(values.get("style", "")))

    def handle_endtag(self, tag: str) -> None:
        """Note the end of an inline style sheet."""
        del tag
        self._in_style = False

    def handle_data(self, data: str) -> None:
        """Note what an inline style sheet loads."""
        if self._in_style:
            self.loads.extend(_IN_CSS.findall(data))
