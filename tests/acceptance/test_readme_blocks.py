"""The commands in README.md and docs/ do what the pages say, typed into terminals as a reader does.

Each page with `bash` blocks, except for API_PAGES, is read from its top; the rules, in the order in which a block meets
them:

    **Terminal N**              the blocks below it are typed into that terminal; 1 if the page names none
    OTHER_TESTS                 blocks that are not run here, each with the test that runs it
    HERE                        what is another one here: ports, brokers, and the topic, since tests share a Kafka
                                (`make play` has its own)
    NOT_HERE                    lines that do nothing here: the stack is up already, under free ports
    UNTIL_CTRL_C                a block whose last command goes on; it has to say that it is ready. The next block of
                                its terminal, and the end of the page, begin with Ctrl-C
    bash                        every command of the block ends with exit code 0
    http, console               a terminal above comes to show these lines, digits and ids aside; `…` is for any lines
    json                        the JSON at the end of the output above holds these fields; the last line of that block
                                is typed again until it does

Oracles: bash's exit codes, and what the commands print. Real: bash, make, curl, every process, Kafka, Redis, Postgres.
"""

import json
import os
import re
import sys
import uuid
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from stack.dev_stack import environment_text
from stack.free_ports import free_ports
from tests.harness.databases import new_database
from tests.harness.pages import PAGES, ROOT, Block, blocks, run_elsewhere
from tests.harness.pipeline import until
from tests.harness.terminal import Terminal

UNTIL_CTRL_C = {
    "make play": "play         | The first order of 100 and more was delivered.",
    "make service": "service      | ready; the API is at",
    "webhookd api": "api_ready",
    "webhookd receive": "listening on",
    "webhookd run": "; status: http",
}

WITH_PLAY = "\n```bash\nmake play\n```\n"

AT_END = "play         | stopped, and"
"""The last line of `make play`."""

NOT_HERE = ("make up", "make down")

LEFT_OUT = {".git", ".state", ".venv"}
STAMPS = {"runtime", "test"}
"""Files in .venv: make installs nothing while they are newer than the lock files."""


class Reader:
    """Somebody with a fresh clone, who reads a page and types its blocks. Use it as a context."""

    def __init__(self, clone: Path, environment: Mapping[str, str], here: Mapping[str, str]) -> None:
        self._clone = clone
        self._environment = environment
        self._here = here
        self._terminals: dict[int, Terminal] = {}
        self._exits = ExitStack()
        self._at_end: list[str] = []
        self._last: Block | None = None
        self._output = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.__exit__(kind, error, trace)
        lines = [line for screen in self._screens() for line in screen.splitlines()]
        assert kind is not None or [line for line in lines if "was killed" in line] == []
        assert kind is not None or [line for line in lines if line.startswith(AT_END)] == self._at_end

    def read(self, block: Block) -> None:
        """Do what the block asks for, or see that it is true."""
        match block.info:
            case "bash":
                self._type(block)
            case "http" | "console":
                shown = re.compile(pattern_of(self._local(block.text)), re.DOTALL)
                until(lambda: any(map(shown.search, self._screens())), block.place)
            case "json" if self._last is not None:
                self._wait_for_answer(block.place, json.loads(self._local(block.text)))

    def _type(self, block: Block) -> None:
        if block.terminal not in self._terminals:
            opened = Terminal(self._clone, self._environment)
            self._terminals[block.terminal] = self._exits.enter_context(opened)
        terminal = self._terminals[block.terminal]
        goes_on = next((said for command, said in UNTIL_CTRL_C.items() if command in block.text), None)
        if goes_on is not None:
            terminal.start(self._local(block.text), goes_on)
            self._at_end += [f"{AT_END} all of its data is deleted"] if "make play" in block.text else []
            return
        code, output = terminal.run(self._local(block.text))
        assert code == 0, f"{block.place} failed:\n{output}"
        self._last, self._output = block, output

    def _wait_for_answer(self, place: str, shown: object) -> None:
        try:
            until(lambda: self._answer_holds(shown), place)
        except AssertionError as error:
            raise AssertionError(f"{error}; the last answer:\n{self._output}") from None

    def _answer_holds(self, shown: object) -> bool:
        """Whether the last JSON of the output does; types the last line again when it does not."""
        if holds(json.loads(self._output[f"\n{self._output}".rindex("\n{") :]), shown):
            return True
        assert self._last is not None
        self._type(replace(self._last, text=self._last.text.splitlines()[-1]))
        return False

    def _screens(self) -> list[str]:
        return [masked(terminal.output) for terminal in self._terminals.values()]

    def _local(self, text: str) -> str:
        for pattern, value in self._here.items():
            text = re.sub(pattern, value, text)
        return text


def masked(text: str) -> str:
    """The text without what differs from run to run."""
    return re.sub(r"\d+", "#", re.sub(r"msg_[0-9a-f]{32}", "msg_#", text))


def pattern_of(shown: str) -> str:
    """A regular expression for the lines that a page shows, `…` being any of them."""
    return ".*?\n".join(re.escape(part) for part in masked(shown).split("…\n"))


def holds(answer: object, shown: object) -> bool:
    """Whether an answer has at least the fields that are shown, with the values that are shown."""
    if isinstance(shown, dict) and isinstance(answer, dict):
        return all(name in answer and holds(answer[name], value) for name, value in shown.items())
    return answer == shown


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The checkout without what belongs to its developer; its environment looks new, so make installs nothing."""
    place = tmp_path / "clone"
    _link(ROOT, place, LEFT_OUT)
    _link(Path(sys.prefix), place / ".venv", STAMPS)
    for stamp in STAMPS:
        (place / ".venv" / stamp).touch()
    return place


def _link(source: Path, place: Path, left_out: AbstractSet[str]) -> None:
    place.mkdir()
    for path in source.iterdir():
        if path.name not in left_out:
            (place / path.name).symlink_to(path)


@pytest.fixture
def reader(
    page: Path, clone: Path, tmp_path: Path, kafka_bootstrap: str, redis_url: str, postgres_url: str
) -> Iterator[Reader]:
    del postgres_url  # asked for by name: `new_database` finds it by itself
    api, endpoint, flower = (str(port) for port in free_ports(3))
    here = {
        r"\b127\.0\.0\.1:19092\b": kafka_bootstrap,
        r"\b127\.0\.0\.1:8080\b": f"127.0.0.1:{api}",
        r"\b127\.0\.0\.1:9000\b": f"127.0.0.1:{endpoint}",
        r"\bwebhookd receive\b": f"webhookd receive --port {endpoint}",
        **({} if WITH_PLAY in page.read_text() else {r"\borders\b": f"orders-{uuid.uuid4().hex}"}),
        **{rf"^{command}\b.*$": ":" for command in NOT_HERE},
    }
    here = {f"(?m){pattern}": value for pattern, value in here.items()}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WEBHOOKD_")}
    environment = {
        **kept,
        "HOME": str(tmp_path),
        "PATH": os.pathsep.join(path for path in kept["PATH"].split(os.pathsep) if not path.startswith(sys.prefix)),
        "FLOWER_PORT": flower,
        "RECEIVER_PORT": endpoint,
        "WEBHOOKD_API_BIND": f"127.0.0.1:{api}",
        "WEBHOOKD_REDIS_KEY_PREFIX": f"test-{uuid.uuid4().hex}:",
    }
    environment |= {"WEBHOOKD_RETRY_TIME_SCALE": "0.02"} if WITH_PLAY in page.read_text() else {}
    state = clone / ".state" / "stack"
    state.mkdir(parents=True)
    with new_database("postgres", tmp_path) as database:
        services = environment_text(kafka=kafka_bootstrap, redis=redis_url, database_url=database)
        (state / "environment").write_text(services)
        with Reader(clone, environment, here) as one:
            yield one


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_do_what_the_page_says(reader: Reader, page: Path) -> None:
    for block in blocks(page):
        if not run_elsewhere(block):
            reader.read(block)
