"""How errors of worker processes end the API's server."""

import pytest

from api.server import ApiServer, Master
from api.server_errors import ServerErrors
from webhookd.errors import ClusterMismatch, SchemaMismatch
from webhookd.settings import Settings


@pytest.fixture
def errors() -> ServerErrors:
    return ServerErrors()


def test_errors_of_two_worker_processes_stop_the_master_without_a_signal(errors: ServerErrors) -> None:
    """A signal would end this process; a second one would end the master before it returns its exit code."""
    master = Master(ApiServer(Settings(), errors), errors)
    master.murder_workers()
    errors.end_server(SchemaMismatch("first"))
    errors.end_server(ClusterMismatch("second"))
    with pytest.raises(StopIteration):
        master.murder_workers()
    with pytest.raises(SchemaMismatch, match="first"):
        errors.raise_first()


def test_nothing_is_raised_without_an_error(errors: ServerErrors) -> None:
    assert not errors.waiting
    errors.raise_first()
