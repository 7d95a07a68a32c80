"""A worker's connection to a broker that is down: how soon it connects again, and that it can be closed."""

import logging
import socket
from pathlib import Path

import pytest
from kombu import Consumer, Message

from stack import redis
from stack.free_ports import free_ports
from webhookd.settings import Settings
from workers.celery_app import build_celery
from workers.task_names import FIRST, RETRY


class Waited(Exception):
    """Raised instead of the wait before the second attempt; holds its length."""


def raise_wait(_error: Exception, wait_s: float) -> None:
    raise Waited(wait_s)


def test_worker_connects_again_soon() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings = Settings.model_validate({"redis_url": f"redis://127.0.0.1:{port}/0"})
    with build_celery(settings) as app, pytest.raises(Waited) as raised, app.connection_for_read() as connection:
        connection.ensure_connection(raise_wait, None)
    assert raised.value.args == (0.5,)


def test_task_outlives_its_connection_when_redis_is_killed(tmp_path: Path) -> None:
    server = redis.start(tmp_path, free_ports(1)[0])
    server.wait_ready()
    taken: list[Message] = []
    try:
        with build_celery(Settings.model_validate({"redis_url": server.address})) as app:
            connection = app.connection_for_read()
            app.send_task("any", queue=FIRST)
            for channel, queue in ((connection.default_channel, FIRST), (connection.channel(), RETRY)):
                Consumer(channel, [app.amqp.queues[queue]], on_message=taken.append).consume()
            connection.drain_events(timeout=5)
            with pytest.raises(TimeoutError):
                connection.drain_events(timeout=0.1)  # from here on both channels wait for tasks
            server.kill()
            # As Celery does: collect, close, and then acknowledge a task that its hub still held.
            connection.collect()
            connection.close()
            taken[0].ack_log_error(logging.getLogger(__name__), connection.connection_errors)
    finally:
        server.stop()
