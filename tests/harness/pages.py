"""The fenced blocks of README.md and of the pages in docs/, as a reader meets them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

OTHER_TESTS = {
    "make demo": "tests/acceptance/test_demo.py runs `webhookd demo`, which is all that make does",
    "make test": "it is what runs this test",
}
"""Commands that tests/acceptance/test_readme_blocks.py does not type, and why."""

API_PAGES = {
    "docs/how-to/authenticate.md",
    "docs/how-to/generate-a-client.md",
    "docs/how-to/register.md",
    "docs/how-to/verify-endpoints.md",
}
"""Pages whose commands need the API alone; tests/integration/api/test_documented_requests.py runs them."""

_FENCE = re.compile(r"^( *)(```+|~~~+) *([^`]*)$")
_TERMINAL = re.compile(r"\*\*Terminal (\d+)\*\*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block: where it is, what it is (`bash`, `json`, …; empty when the page does not say), and its text.

    `terminal` is the number in the last `**Terminal N**` above it, 1 where the page names none.
    """

    page: str
    line: int
    info: str
    text: str
    terminal: int = 1

    @property
    def place(self) -> str:
        """Where it is, as editors understand it."""
        return f"{self.page}:{self.line}"


def run_elsewhere(block: Block) -> bool:
    """Whether every command of the block is another test's."""
    return all(line.startswith(tuple(OTHER_TESTS)) for line in block.text.splitlines())


def pages() -> list[Path]:
    """Every page that people read."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The page's blocks in their order."""
    return list(_blocks(page))


def _blocks(page: Path) -> Iterator[Block]:
    name, terminal = str(page.relative_to(ROOT)), 1
    lines = enumerate(page.read_text(encoding="utf-8").splitlines(), start=1)
    for number, line in lines:
        if (named := _TERMINAL.search(line)) is not None:
            terminal = int(named[1])
        opening = _FENCE.match(line)
        if opening is None:
            continue
        indent, fence, info = opening.groups()
        inside = []
        for _, inner in lines:
            if inner.strip() == fence:
                break
            inside.append(inner.removeprefix(indent) + "\n")
        yield Block(page=name, line=number, info=info.strip(), text="".join(inside), terminal=terminal)


PAGES = [
    page
    for page in pages()
    if str(page.relative_to(ROOT)) not in API_PAGES and any(block.info == "bash" for block in blocks(page))
]
"""The pages whose reader is asked to type something, and starts what it needs."""
