"""The checks of GET /ready: all services at once, within one deadline."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait

from api import cluster_check
from api.ports import Services
from webhookd import logs
from webhookd.errors import Unavailable
from webhookd.store import schema

DEADLINE_S = 2.0
"""The time for all checks. Probes of orchestrators give up after a few seconds, so a later result is of no use."""

KAFKA_S = 1.5
"""Within the deadline, so that Kafka's own error is shown."""

Check = Callable[[], None]

_log = logs.get(__name__)


class Readiness:
    """Checks the services on threads of its own; a check that hangs occupies one thread only."""

    def __init__(self, checks: Mapping[str, Check], *, deadline_s: float = DEADLINE_S) -> None:
        self._deadline_s = deadline_s
        self._checks = checks
        self._pool = ThreadPoolExecutor(max_workers=len(checks), thread_name_prefix="readiness")
        self._asked: dict[str, Future[str | None]] = {}
        self._asking = threading.Lock()

    def ask(self) -> dict[str, str | None]:
        """Run the checks; return for each service why its check failed, or None if it succeeded in time. Blocks."""
        with self._asking:
            asked = {name: self._ask(name, check) for name, check in self._checks.items()}
        wait(asked.values(), timeout=self._deadline_s)
        return {
            name: _detail(name, answer) if answer.done() else f"no answer within {self._deadline_s:g} s"
            for name, answer in asked.items()
        }

    def _ask(self, name: str, check: Check) -> Future[str | None]:
        before = self._asked.get(name)
        if before is None or before.done():
            self._asked[name] = self._pool.submit(_failure, name, check)
        return self._asked[name]


def checks_of(services: Services) -> dict[str, Check]:
    """The services that must work before this process is ready."""
    return {
        "database": lambda: schema.confirm(services.database),
        "queue": services.ping_queue,
        "kafka": lambda: cluster_check.ready(services, KAFKA_S),
    }


def _detail(name: str, answer: Future[str | None]) -> str | None:
    if error := answer.exception():
        _log.error("check_failed", service=name, code="internal", exc_info=error)
        return "the check failed; the log has the error"
    return answer.result()


def _failure(name: str, check: Check) -> str | None:
    try:
        check()
    except Unavailable as error:
        _log.warning("not_ready", service=name, code=error.code, error=str(error))
        return f"{error.code}: {error.detail or error}"
    return None
