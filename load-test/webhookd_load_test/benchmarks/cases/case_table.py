"""The benchmark's cases by name."""

from collections.abc import Callable, Mapping

from webhookd_load_test.benchmarks.cases.backlog_case import BUFFERS_FILL_S, Backlog
from webhookd_load_test.benchmarks.cases.bench_case import Bench
from webhookd_load_test.benchmarks.cases.first_delivery_case import first_delivery
from webhookd_load_test.benchmarks.cases.latency_case import latency
from webhookd_load_test.benchmarks.cases.metrics_case import metrics
from webhookd_load_test.benchmarks.cases.ratio_cases import policy, signed
from webhookd_load_test.benchmarks.cases.result_table import Row
from webhookd_load_test.benchmarks.cases.sparse_case import sparse
from webhookd_load_test.benchmarks.cases.workers_case import Workers
from webhookd_load_test.benchmarks.kafka.benchmark_record import PAID_EVERY

CASES: Mapping[str, Callable[[Bench], list[Row]]] = {
    "batch-1": Backlog(name="batch 1", target=0.9).run,
    "batch-100": Backlog(name="batch 100", target=0.10, each="record", batch=100, resident_target_mb=250).run,
    "batch-1000": Backlog(name="batch 1000", target=0.10, each="record", batch=1000).run,
    "filter": Backlog(
        name="filter keeps 10 %", target=0.10, each="record", filters=("status == 'paid'",), reads=PAID_EVERY
    ).run,
    "policy": policy,
    "signed": signed,
    "metrics": metrics,
    "https": Backlog(name="HTTPS, batch 1", target=1.1, tls=True).run,
    "fan-out": Backlog(name="10 on one topic", subscriptions=10, short_subscriptions=3, warm_up_s=BUFFERS_FILL_S).run,
    "sparse": sparse,
    "latency": latency,
    "first-delivery": first_delivery,
    "workers": Workers(name="workers").run,
}
"""The cases by their names in `make bench CASES=…`."""
