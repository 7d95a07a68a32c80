"""A page as Python's own HTML parser reads it."""

from collections.abc import Iterator
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "input", "hr"}


class ParsedPage(HTMLParser):
    """Elements with their attributes, the texts, and what is not well nested."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.badly_nested: list[str] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        self.badly_nested += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.badly_nested.append(tag)

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())

    @property
    def text(self) -> str:
        """All texts, a line each."""
        return "\n".join(self.texts)

    def attributes(self, name: str, tag: str | None = None) -> Iterator[str]:
        """The values of an attribute, of all elements or those of a tag."""
        yield from (attributes[name] for of, attributes in self.elements if name in attributes and tag in {None, of})

    def cells(self) -> set[str]:
        """The texts, for looking up those of cells."""
        return set(self.texts)
