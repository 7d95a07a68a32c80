"""What Prometheus sees of a worker's threads, tasks and connections."""

from dataclasses import dataclass

from tests.harness.metrics import LiveMetrics
from workers.delivery.worker_load import WorkerLoad
from workers.delivery.worker_samples import WorkerSamples
from workers.task_names import FIRST, RETRY


@dataclass(slots=True)
class Connections:
    """Stands in for the exchange loop."""

    connections: int = 0
    idle_connections: int = 0


def test_load_and_connections_are_those_of_the_moment(live_metrics: LiveMetrics) -> None:
    load, connections = WorkerLoad(lambda: 0.0), Connections()
    live_metrics.add_source(WorkerSamples(queues=(FIRST, RETRY), threads=16, load=load, exchanges=connections))
    seen = live_metrics.read()
    assert (seen.value("webhookd_worker_threads"), seen.value("webhookd_worker_threads_busy")) == (16, 0)
    assert [one.value for one in seen.series("webhookd_tasks_taken_total")] == [0, 0]
    for queue in (FIRST, FIRST, RETRY):
        load.task_taken(queue)
    for change in (load.task_started, load.task_started, load.task_ended):
        change()
    connections.connections, connections.idle_connections = 5, 3
    seen = live_metrics.read()
    assert seen.value("webhookd_worker_threads_busy") == 1
    taken = {one.labels["queue"]: one.value for one in seen.series("webhookd_tasks_taken_total")}
    assert taken == {FIRST: 2, RETRY: 1}
    assert seen.value("webhookd_connections", state="busy") == 2
    assert seen.value("webhookd_connections", state="idle") == 3


def test_connections_that_change_meanwhile_are_never_negative(live_metrics: LiveMetrics) -> None:
    connections = Connections(connections=1, idle_connections=2)
    live_metrics.add_source(WorkerSamples(queues=(), threads=1, load=WorkerLoad(lambda: 0.0), exchanges=connections))
    assert live_metrics.read().value("webhookd_connections", state="busy") == 0
