"""The round-trip time of an empty Celery task: the minimum cost of a delivery's two passes through Redis.

`python -m webhookd_load_test.benchmarks.cases.empty_task redis://…` runs the worker, on a queue of its own.
"""

import sys
import time
from pathlib import Path

from celery import Celery
from redis import Redis

from stack.child import spawn
from webhookd_load_test.run_folder.units import MS_PER_S

MODULE = "webhookd_load_test.benchmarks.cases.empty_task"
NAME = "webhookd.load_test.empty"
QUEUE = "webhookd.load_test"
DONE = "webhookd.load_test.done"
TRIPS = 500
WARM_UP_TRIPS = 50
PAUSE_S = 0.002
TIMEOUT_S = 20


def build(redis_url: str) -> Celery:
    """An application with one task and webhookd's settings: threads, late acknowledgement, no results."""
    app = Celery("webhookd-load-test", broker=redis_url, set_as_current=False)
    app.conf.update(
        task_default_queue=QUEUE,
        task_acks_late=True,
        task_ignore_result=True,
        worker_pool="threads",
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        broker_transport_options={"priority_steps": [0]},
    )
    redis = Redis.from_url(redis_url)

    def empty(number: int) -> None:
        redis.lpush(DONE, number)

    app.task(name=NAME)(empty)
    return app


def round_trips_ms(redis_url: str, log_file: Path) -> tuple[float, float]:
    """The median and the 99th percentile of some hundred round trips, one after another."""
    worker = spawn([sys.executable, "-m", MODULE, redis_url], log_file=log_file)
    try:
        app, redis = build(redis_url), Redis.from_url(redis_url)
        taken = sorted(_trip_ms(app, redis, number) for number in range(WARM_UP_TRIPS + TRIPS))
    finally:
        worker.stop()
    return taken[len(taken) // 2], taken[len(taken) * 99 // 100]


def _trip_ms(app: Celery, redis: Redis, number: int) -> float:
    time.sleep(PAUSE_S)
    began = time.perf_counter()
    app.send_task(NAME, args=[number], ignore_result=True)
    if redis.blpop([DONE], timeout=TIMEOUT_S) is None:
        raise TimeoutError("the empty task was not executed in time")
    return (time.perf_counter() - began) * MS_PER_S


def main() -> None:
    """Run the worker."""
    build(sys.argv[1]).worker_main(
        ["worker", "--concurrency=4", "--loglevel=warning", "--without-mingle", "--without-gossip"]
    )


if __name__ == "__main__":
    main()
