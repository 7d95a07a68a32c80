"""The start of a process of the service: its settings, its log, and the check of the database's schema."""

import faulthandler
import gc
import sys

from command.loading import load_settings
from command.switch_interval import set_switch_interval
from webhookd import __version__, logs
from webhookd.configuration.environment import variable
from webhookd.debug_signal import DebugSignal
from webhookd.errors import SchemaMismatch, SecretKeysMissing
from webhookd.settings import Settings
from webhookd.store.schema_watch import SchemaWatch
from webhookd.store.secret_keys import secret_keys_of

CLUSTER_EXIT_CODE = 78
"""EX_CONFIG: the settings name another Kafka cluster than the database's; a restart does not help."""

SCHEMA_EXIT_CODE = 1
"""The database has no tables or those of another version; a restart helps after `webhookd migrate`."""

STDERR = 2
"""The file descriptor: a crash in native code leaves the stack of each thread there, as it can write no log line."""

_log = logs.get(__name__)


def process_settings() -> Settings:
    """Load the settings, configure the log and the interpreter, and log which settings differ from their default."""
    settings = load_settings()
    logs.configure_process(settings.log_format, settings.log_level, modules=settings.log_levels)
    DebugSignal(settings.log_debug_s).install()
    _log.info("settings", version=__version__, **settings.changed())
    faulthandler.enable(STDERR)
    set_switch_interval()
    # Exclude imported modules from garbage collection: a full collection of them stops every thread for about 50 ms.
    gc.collect()
    gc.freeze()
    return settings


def warn_without_secret_keys(settings: Settings) -> None:
    """Log that secrets can neither be stored nor read, when there is no key for them."""
    if not secret_keys_of(settings):
        detail = f"{variable('secret_keys')} is not set: see `webhookd secrets --help`"
        _log.warning("secret_keys_missing", code=SecretKeysMissing.code, detail=detail)


def start_or_exit(schema: SchemaWatch) -> None:
    """Check the schema before anything else starts; end the process when the database has another one."""
    try:
        schema.start()
    except SchemaMismatch as error:
        sys.exit(schema_exit_code(error))


def schema_exit_code(error: SchemaMismatch) -> int:
    """Say in one line what the database has and what to do; return the exit code."""
    _log.error("schema_mismatch", code=error.code, detail=error.detail)
    return SCHEMA_EXIT_CODE
