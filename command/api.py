"""`webhookd api`: serves the management API."""

import sys

import click

from api.server import serve
from command.process_start import CLUSTER_EXIT_CODE, process_settings, schema_exit_code, warn_without_secret_keys
from webhookd import logs
from webhookd.errors import ClusterMismatch, NoTemporaryDirectory, SchemaMismatch

NO_DIRECTORY_EXIT_CODE = 1

_log = logs.get(__name__)


@click.command()
def api() -> None:
    """Serve the management API (gunicorn).

    It exits with 1 when the database does not have the tables of this version, and with 78 when the brokers belong to
    another Kafka cluster than the database.
    """
    try:
        settings = process_settings()
        warn_without_secret_keys(settings)
        serve(settings)
    except NoTemporaryDirectory as error:
        _log.error("no_temporary_directory", detail=str(error))
        sys.exit(NO_DIRECTORY_EXIT_CODE)
    except SchemaMismatch as error:
        sys.exit(schema_exit_code(error))
    except ClusterMismatch as error:
        _log.error("cluster_mismatch", code=error.code, detail=error.detail)
        sys.exit(CLUSTER_EXIT_CODE)
