"""Which lines are written: by the level of the process, by those of modules, and while debug is switched on."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from webhookd import logs


@pytest.fixture(autouse=True)
def _loggers_of_libraries_are_as_before() -> Iterator[None]:
    """A level of a library stays, since logging keeps it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("celery", "kombu"):
        logging.getLogger(name).setLevel(logging.NOTSET)


class Log:
    """Lines of three modules and two libraries, each at every level; `written` returns which were written."""

    def __init__(self, level: str, *modules: str) -> None:
        self._stream = io.StringIO()
        self._own = [logs.get(name) for name in ("workers.ingest.loop", "workers.ingestion", "api.server")]
        logs.configure("json", level, self._stream, modules=modules)

    def written(self) -> dict[str, list[str]]:
        """The levels that were written, by module or library."""
        for logger in self._own:
            for level in ("debug", "info", "warning", "error"):
                getattr(logger, level)("one")
        for name in ("celery.worker", "kombu"):
            for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
                logging.getLogger(name).log(number, "one %s", number)
        found: dict[str, list[str]] = {}
        for line in map(json.loads, self._stream.getvalue().splitlines()):
            found.setdefault(line.get("module") or line["logger"], []).append(line["level"])
        self._stream.truncate(0)
        self._stream.seek(0)
        return found


FROM_INFO = ["info", "warning", "error"]
FROM_WARNING = ["warning", "error"]
ALL = ["debug", "info", "warning", "error"]
AT_INFO = {
    "workers.ingest.loop": FROM_INFO,
    "workers.ingestion": FROM_INFO,
    "api.server": FROM_INFO,
    "celery.worker": FROM_WARNING,
    "kombu": FROM_WARNING,
}


def test_level_of_the_process_counts_for_every_module() -> None:
    assert Log("info").written() == AT_INFO


def test_level_of_a_module_counts_for_what_is_below_it_and_for_no_other() -> None:
    written = Log("warning", "workers.ingest=debug").written()
    assert written["workers.ingest.loop"] == ALL
    assert (written["workers.ingestion"], written["api.server"]) == (FROM_WARNING, FROM_WARNING)


def test_longest_name_counts() -> None:
    written = Log("info", "workers.ingest.loop=error", "workers=debug").written()
    assert (written["workers.ingest.loop"], written["workers.ingestion"]) == (["error"], ALL)


def test_level_of_a_library_counts_for_its_lines() -> None:
    written = Log("warning", "celery=debug", "kombu=error").written()
    assert (written["celery.worker"], written["kombu"]) == (ALL, ["error"])


def test_debug_is_switched_on_and_off_for_loggers_in_use() -> None:
    log = Log("info", "api=warning")
    before = log.written()
    logs.levels.switch_debug(on=True)
    meanwhile = log.written()
    logs.levels.switch_debug(on=False)
    assert log.written() == before
    assert (meanwhile["workers.ingestion"], meanwhile["api.server"]) == (ALL, FROM_WARNING)
    assert meanwhile["celery.worker"] == FROM_INFO


def test_logger_of_a_module_is_one_object_whose_level_changes() -> None:
    Log("info")
    logger = logs.levels.logger(None, [], {"module": "api.server"})
    logs.levels.switch_debug(on=True)
    assert logger.is_enabled_for(logging.DEBUG)
    assert logs.levels.logger(None, [], {"module": "api.server"}) is logger


def test_no_line_is_left_out_while_debug_is_switched_on() -> None:
    log = Log("info")
    del log
    enabled = []
    for on in (False, True, False):
        logs.levels.switch_debug(on=on)
        enabled.append(logs.folding.enabled)
    assert enabled == [True, False, True]
