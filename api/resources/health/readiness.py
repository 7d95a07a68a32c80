"""The checks of GET /ready: all outside systems at once, within one deadline."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait

from api import cluster_check
from api.ports import Services
from webhookd import logs
from webhookd.errors import Unavailable

DEADLINE_S = 2.0
"""The time for all checks. Probes of orchestrators give up after a few seconds, so a later result is of no use."""

Check = Callable[[], None]

_log = logs.get(__name__)


class Readiness:
    """Checks the systems on threads of its own; a check that hangs occupies one thread only."""

    def __init__(self, checks: Mapping[str, Check], *, deadline_s: float = DEADLINE_S) -> None:
        self._deadline_s = deadline_s
        self._checks = checks
        self._pool = ThreadPoolExecutor(max_workers=len(checks), thread_name_prefix="readiness")
        self._asked: dict[str, Future[bool]] = {}
        self._asking = threading.Lock()

    def ask(self) -> dict[str, bool]:
        """Run the checks; return for each system whether its check succeeded within the deadline. Blocks."""
        with self._asking:
            asked = {name: self._ask(name, check) for name, check in self._checks.items()}
        wait(asked.values(), timeout=self._deadline_s)
        return {name: answer.done() and _succeeded(name, answer) for name, answer in asked.items()}

    def _ask(self, name: str, check: Check) -> Future[bool]:
        before = self._asked.get(name)
        if before is None or before.done():
            self._asked[name] = self._pool.submit(_passes, name, check)
        return self._asked[name]


def checks_of(services: Services) -> dict[str, Check]:
    """The systems that must work before this process is ready."""
    return {
        "database": services.database.ping,
        "queue": services.ping_queue,
        "kafka": lambda: cluster_check.ready(services, DEADLINE_S),
    }


def _succeeded(name: str, answer: Future[bool]) -> bool:
    if error := answer.exception():
        _log.error("check_failed", system=name, code="internal", exc_info=error)
        return False
    return answer.result()


def _passes(name: str, check: Check) -> bool:
    try:
        check()
    except Unavailable as error:
        _log.warning("not_ready", system=name, code=error.code, error=str(error))
        return False
    return True
