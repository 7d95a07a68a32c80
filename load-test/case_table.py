"""The benchmark's cases by name."""

from collections.abc import Callable, Mapping

from bench_case import Bench
from cases import BUFFERS_FILL_S, Backlog, latency, policy, signed, sparse
from generate import PAID_EVERY
from metrics_case import metrics
from table import Row
from workers_case import Workers

CASES: Mapping[str, Callable[[Bench], list[Row]]] = {
    "batch-1": Backlog(name="batch 1", target=0.9).run,
    "batch-100": Backlog(name="batch 100", target=0.25, each="record", batch=100).run,
    "batch-1000": Backlog(name="batch 1000", each="record", batch=1000).run,
    "filter": Backlog(
        name="filter keeps 10 %", target=0.25, each="record", filters=("status == 'paid'",), reads=PAID_EVERY
    ).run,
    "policy": policy,
    "signed": signed,
    "metrics": metrics,
    "https": Backlog(name="HTTPS, batch 1", target=1.1, tls=True).run,
    "fan-out": Backlog(name="10 on one topic", subscriptions=10, short_subscriptions=3, warm_up_s=BUFFERS_FILL_S).run,
    "sparse": sparse,
    "latency": latency,
    "workers": Workers(name="workers").run,
}
"""The cases by their names in `make bench CASES=…`."""
