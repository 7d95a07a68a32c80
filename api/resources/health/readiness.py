"""The checks of GET /ready: all outside systems at once, within one deadline."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait

from api import cluster_check
from api.ports import Services
from webhookd import logs
from webhookd.errors import KafkaUnavailable, QueueUnavailable, StoreUnavailable, Unavailable
from webhookd.store import schema

DEADLINE_S = 2.0
"""The time for all checks. Probes of orchestrators give up after a few seconds, so a later result is of no use."""

LATE = {"database": StoreUnavailable.code, "queue": QueueUnavailable.code, "kafka": KafkaUnavailable.code}
"""The code of a system whose check has not ended within the deadline."""

Check = Callable[[], None]

_log = logs.get(__name__)


class Readiness:
    """Checks the systems on threads of its own; a check that hangs occupies one thread only."""

    def __init__(self, checks: Mapping[str, Check], *, deadline_s: float = DEADLINE_S) -> None:
        self._deadline_s = deadline_s
        self._checks = checks
        self._pool = ThreadPoolExecutor(max_workers=len(checks), thread_name_prefix="readiness")
        self._asked: dict[str, Future[str]] = {}
        self._asking = threading.Lock()

    def ask(self) -> dict[str, str]:
        """Run the checks; return the code of the error of each system, or "" when it works. Blocks.

        A check that does not end within the deadline has failed.
        """
        with self._asking:
            asked = {name: self._ask(name, check) for name, check in self._checks.items()}
        wait(asked.values(), timeout=self._deadline_s)
        return {
            name: _code(name, answer) if answer.done() else LATE.get(name, Unavailable.code)
            for name, answer in asked.items()
        }

    def _ask(self, name: str, check: Check) -> Future[str]:
        before = self._asked.get(name)
        if before is None or before.done():
            self._asked[name] = self._pool.submit(_run, name, check)
        return self._asked[name]


def checks_of(services: Services) -> dict[str, Check]:
    """The systems that must work before this process is ready."""
    return {
        "database": lambda: schema.confirm(services.database),
        "queue": services.ping_queue,
        "kafka": lambda: cluster_check.ready(services, DEADLINE_S),
    }


def _code(name: str, answer: Future[str]) -> str:
    if error := answer.exception():
        _log.error("check_failed", system=name, code="internal", exc_info=error)
        return "internal"
    return answer.result()


def _run(name: str, check: Check) -> str:
    try:
        check()
    except Unavailable as error:
        _log.warning("not_ready", system=name, code=error.code, error=str(error))
        return error.code
    return ""
