"""The cases whose result is a ratio of two rows of one run: what policies and signatures cost."""

from dataclasses import replace

from webhookd_load_test.benchmarks.cases.backlog_case import BACKLOG_TOPIC, Backlog
from webhookd_load_test.benchmarks.cases.bench_case import Bench
from webhookd_load_test.benchmarks.cases.result_table import Row

POLICY_CONDITION = "type == 'order.updated'"
POLICY_PROJECTION = {"exclude": ["customer.tier", "currency"]}
"""One equality condition, which holds for every record, and two paths to exclude."""

POLICY_RATIO = 3.0
"""A record with this policy takes at most so many times the CPU of one without. It is a ratio of two rows of one run,
so it holds on any machine that does nothing else meanwhile."""

SIGNED_RATIOS = {1: 1.15, 100: 1.10}
"""By the records in a request: a signed request takes at most so many times the CPU of one that is not signed. With 100
records it has 42 kB, for which SHA-256 alone takes 28 µs where the whole request takes 400 µs."""


def policy(bench: Bench) -> list[Row]:
    """The same backlog without and with a policy: its cost is a ratio of two rows of one run."""
    with bench.rig.policy(bench.topic(BACKLOG_TOPIC), condition=POLICY_CONDITION, projection=POLICY_PROJECTION):
        (governed,) = Backlog(name="100, policy", each="record", batch=100).run(bench)
    if bench.short:
        return [governed]
    (plain,) = Backlog(name="100, no policy", each="record", batch=100).run(bench)
    ratio = governed.ours_us / plain.ours_us
    remark = f"{ratio:.2f} times the CPU of a record without a policy (≤ {POLICY_RATIO:.0f})"
    fault = "" if ratio <= POLICY_RATIO else f"policy: {remark}"
    return [plain, replace(governed, remark=remark, fault=fault)]


def signed(bench: Bench) -> list[Row]:
    """The same backlogs without and with signatures: their cost is a ratio of two rows of one run."""
    if bench.short:
        return Backlog(name="batch 1, signed", signed=True).run(bench)
    return [row for batch, most in SIGNED_RATIOS.items() for row in _with_and_without_signatures(bench, batch, most)]


def _with_and_without_signatures(bench: Bench, batch: int, most: float) -> list[Row]:
    case = Backlog(name=f"batch {batch}, unsigned", each="request" if batch == 1 else "record", batch=batch)
    (plain,) = case.run(bench)
    (found,) = replace(case, name=f"batch {batch}, signed", signed=True).run(bench)
    ratio = found.ours_us / plain.ours_us
    remark = f"{ratio:.3f} times the CPU without a signature (≤ {most:.2f})"
    return [plain, replace(found, remark=remark, fault="" if ratio <= most else f"signed: {remark}")]
