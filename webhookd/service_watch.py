"""Says in the log which service a process waits for, and when it is there again.

Each service is checked about once a second on a thread of its own. While one is absent, the other parts of the process
leave their lines about it out (line_folding): between them they log the absence once, then now and then.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event, Thread

from webhookd import clock, logs
from webhookd.clock import Monotonic
from webhookd.configuration.environment import variable
from webhookd.errors import KafkaUnavailable, QueueUnavailable, StoreUnavailable, Unavailable
from webhookd.flow.monitoring.service_outage import Available, ServiceOutage, Waiting
from webhookd.line_folding import LineFolding
from webhookd.settings import Settings

Check = Callable[[], None]

INTERVAL_S = 1.0
JOIN_S = 0.5

_log = logs.get(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedService:
    """A service that a process needs; `check` blocks, and raises Unavailable when the service does not answer.

    `code` is the code of its absence; `address` contains no password; `setting` is the variable that names it.
    """

    name: str
    code: str
    setting: str
    address: str
    check: Check


def watched_kafka(settings: Settings, check: Check) -> WatchedService:
    """Return the brokers of the settings."""
    return _watched(settings, "kafka", KafkaUnavailable.code, "kafka_bootstrap_servers", check)


def watched_redis(settings: Settings, check: Check) -> WatchedService:
    """Return the Redis of the settings."""
    return _watched(settings, "redis", QueueUnavailable.code, "redis_url", check)


def watched_database(settings: Settings, check: Check) -> WatchedService:
    """Return the database of the settings."""
    return _watched(settings, "database", StoreUnavailable.code, "database_url", check)


def _watched(settings: Settings, name: str, code: str, setting: str, check: Check) -> WatchedService:
    address = settings.shown()[setting]
    return WatchedService(name=name, code=code, setting=variable(setting), address=address, check=check)


class ServiceWatch:
    """Checks the services from `start` to `stop`."""

    def __init__(
        self,
        services: Sequence[WatchedService],
        *,
        folding: LineFolding = logs.folding,
        monotonic: Monotonic = clock.monotonic,
    ) -> None:
        self._folding = folding
        self._monotonic = monotonic
        self._stop = Event()
        self._outages = {service.name: ServiceOutage() for service in services}
        self._checked = {service.name: Event() for service in services}
        self._threads = [
            Thread(target=self._watch, args=(service,), name=f"watch-{service.name}", daemon=True)
            for service in services
        ]

    def start(self, within_s: float = INTERVAL_S) -> None:
        """Start the threads, and wait for the first check of each service; together at most `within_s`."""
        ends_at = self._monotonic() + within_s
        for thread in self._threads:
            thread.start()
        for checked in self._checked.values():
            checked.wait(max(0.0, ends_at - self._monotonic()))

    def stop(self) -> None:
        """End the threads; one that waits for an answer ends after it."""
        self._stop.set()
        for thread in self._threads:
            thread.join(JOIN_S)

    def check(self, service: WatchedService) -> None:
        """Check a service once, and log what there is to say."""
        outage = self._outages[service.name]
        said: Waiting | Available | None
        try:
            service.check()
        except Unavailable as error:
            said = outage.failed(self._monotonic(), error.detail or str(error), error.code)
            code = error.code
        else:
            said, code = outage.answered(self._monotonic()), service.code
        match said:
            case Waiting(since_s=since_s, detail=detail):
                self._folding.absent(service.code)
                _log.warning(
                    "waiting_for_service",
                    service=service.name,
                    address=service.address,
                    setting=service.setting,
                    code=code,
                    detail=detail,
                    since_s=round(since_s, 1),
                )
            case Available(after_s=after_s):
                self._folding.present(service.code)
                _log.warning(
                    "service_available", service=service.name, address=service.address, after_s=round(after_s, 1)
                )

    def _watch(self, service: WatchedService) -> None:
        while not self._stop.is_set():
            try:
                self.check(service)
            except Exception:  # noqa: BLE001 - the top of the thread: the next check may succeed
                _log.exception("service_watch_failed", service=service.name)
            self._checked[service.name].set()
            self._stop.wait(INTERVAL_S)
