"""Look-ups continue while other hosts hang, on as few threads as possible. The test makes the loop's calls."""

import threading
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue

import pytest

from webhookd.edges.http_client.dns_resolver import DnsResolver, LookupResult
from webhookd.edges.http_client.limits import Limits

HANGING = 48
PATIENCE_S = 5.0


class Names:
    """A resolver; names that begin with `hang` block until the test ends."""

    def __init__(self) -> None:
        self.release_hanging = threading.Event()
        self.asked: SimpleQueue[str] = SimpleQueue()
        self.threads: set[int] = set()
        self.call_soon: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.dns = DnsResolver(self.resolve, self.call_soon.put, Limits().lookup_threads)

    def resolve(self, host: str, port: int) -> Sequence[str]:
        del port
        self.threads.add(threading.get_ident())
        self.asked.put(host)
        if host.startswith("hang"):
            self.release_hanging.wait(PATIENCE_S)
        return ["192.0.2.1"]

    def look_up(self, host: str) -> LookupResult:
        """Look up a host and wait for the result."""
        answers: list[LookupResult] = []
        self.dns.look_up(host, 443, answers.append)
        while not answers:
            self.call_soon.get(timeout=PATIENCE_S)()
        return answers[0]


@pytest.fixture
def names() -> Iterator[Names]:
    """A resolver whose hanging names are released at the end."""
    made = Names()
    yield made
    made.release_hanging.set()
    made.dns.close()


def test_hanging_hosts_do_not_stop_other_lookups(names: Names) -> None:
    for number in range(HANGING):
        names.dns.look_up(f"hang-{number}", 443, lambda _found: None)
    for _ in range(HANGING):
        names.asked.get(timeout=1.0)
    assert names.look_up("good") == ["192.0.2.1"]


def test_threads_are_made_on_demand(names: Names) -> None:
    for number in range(10):
        names.look_up(f"good-{number}")
    assert len(names.threads) == 1
