"""How long a worker waits before it asks its broker again. Nobody listens on the port."""

import socket

import pytest

from webhookd.settings import Settings
from workers.application import build_celery


class Waited(Exception):
    """The wait before the second attempt, instead of the wait."""


def raise_wait(_error: Exception, wait_s: float) -> None:
    raise Waited(wait_s)


def test_worker_asks_its_broker_again_soon() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings = Settings.model_validate({"redis_url": f"redis://127.0.0.1:{port}/0"})
    with build_celery(settings) as app, pytest.raises(Waited) as raised, app.connection_for_read() as connection:
        connection.ensure_connection(raise_wait, None)
    assert raised.value.args == (0.5,)
