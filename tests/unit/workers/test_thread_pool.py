"""Background work of the ingest loop: consumers that close slowly do not delay requests."""

from threading import Event

from tests.harness.subscription_consumers import Scene
from workers.ingest.thread_pool import THREADS, ThreadPool

PATIENCE_S = 10.0


def test_consumers_that_close_slowly_delay_no_request() -> None:
    background, gone, asked = ThreadPool(), Event(), Event()

    def close() -> None:
        gone.wait(PATIENCE_S)

    for _ in range(2 * THREADS):
        background.close(close)
    background.run(asked.set)
    answered = asked.wait(PATIENCE_S / 2)
    closing = background.closing
    unfinished = background.stop(0.0)
    gone.set()
    assert (answered, closing, unfinished) == (True, 2 * THREADS, 2 * THREADS)


def test_stop_waits_for_both() -> None:
    background, closed, asked = ThreadPool(), Event(), Event()
    background.close(closed.set)
    background.run(asked.set)
    assert (background.stop(PATIENCE_S), closed.is_set(), asked.is_set()) == (0, True, True)


def test_subscription_consumer_closes_apart_from_requests() -> None:
    scene = Scene()
    scene.services.held = []  # the threads for questions are busy
    scene.consumer.close()
    assert len(scene.kafka_consumer.closed) == 1
