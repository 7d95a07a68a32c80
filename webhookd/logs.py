"""Log lines: a fixed event name and facts as fields, as one JSON object or as text.

webhookd's own lines are written directly to stderr, since each delivery logs one; it takes about 5 µs. Lines of
libraries come through the standard library's logging and have the same format.
"""

import logging
import sys
from typing import TextIO

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from webhookd.settings import LogFormat

_SHARED: list[Processor] = [
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(log_format: LogFormat, level: str, stream: TextIO | None = None) -> None:
    """Write all log lines of this process, those of libraries included, to stderr (or `stream`) in one format."""
    stream = stream or sys.stderr
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*_SHARED, structlog.processors.format_exc_info, _renderer(log_format)],
        logger_factory=structlog.BytesLoggerFactory(stream.buffer)
        if log_format == "json"
        else structlog.PrintLoggerFactory(stream),
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_SHARED, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _as_text if log_format == "json" else _renderer(log_format),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(threshold, logging.WARNING) if threshold > logging.DEBUG else logging.INFO)


def get(name: str) -> FilteringBoundLogger:
    """Return the logger of a module; `configure` may be called later."""
    logger: FilteringBoundLogger = structlog.get_logger(module=name)
    return logger


_encode = msgspec.json.Encoder(enc_hook=str).encode


def _as_bytes(_logger: object, _method: str, event: EventDict) -> bytes:
    return _encode(event)


def _as_text(_logger: object, _method: str, event: EventDict) -> str:
    return _encode(event).decode()


def _renderer(log_format: LogFormat) -> Processor:
    return _as_bytes if log_format == "json" else structlog.dev.ConsoleRenderer(colors=False)
