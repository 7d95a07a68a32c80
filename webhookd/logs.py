"""Log lines: a fixed event name and facts as fields, as one JSON object or as text.

webhookd's own lines are written directly to stderr, since each delivery logs one; it takes about 5 µs. Lines of
libraries come through the standard library's logging and have the same format. `configure_process` also takes what
never went through it: output of libraries, warnings, and errors that nothing catches.
"""

import logging
import os
import sys
from typing import Literal, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from webhookd.line_folding import LineFolding
from webhookd.line_writer import LineHandler, LineWriter
from webhookd.process_output import capture_errors, capture_output, drop_direct_output
from webhookd.settings import LogFormat

folding = LineFolding()
"""What decides about repeated lines of this process; service_watch tells it which services are absent."""

_TIMESTAMP = structlog.processors.TimeStamper(fmt="iso", utc=True)
_TERMINAL_TIMESTAMP = structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False)
_EVENT_WIDTH = 28


def configure(log_format: LogFormat, level: str, stream: TextIO | None = None) -> None:
    """Write all log lines of this process, those of libraries included, to stderr (or `stream`) in one format."""
    stream = stream or sys.stderr
    threshold = logging.getLevelNamesMapping()[level.upper()]
    as_json = chosen_format(log_format, stream) == "json"
    folds = threshold > logging.DEBUG
    stamp = _TIMESTAMP if as_json else _TERMINAL_TIMESTAMP
    writer = LineWriter(stream)
    structlog.configure(
        processors=[
            folding.add_level if folds else structlog.processors.add_log_level,
            stamp,
            structlog.processors.format_exc_info,
            *([_as_bytes] if as_json else [_without_module, _text_renderer(stream)]),
        ],
        logger_factory=lambda *_: writer,
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        cache_logger_on_first_use=True,
    )
    handler = LineHandler(writer)
    handler.setLevel(threshold)
    if folds:
        handler.addFilter(folding.filter)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.processors.add_log_level,
                stamp,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(allow=["left_out"]),
                _on_one_line,
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _as_text if as_json else _text_renderer(stream),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(threshold, logging.WARNING) if threshold > logging.DEBUG else logging.INFO)


def configure_process(log_format: LogFormat, level: str, *, prints: bool = False) -> None:
    """Do the same for a process of the service: also what anything in it warns or raises is a log line.

    With JSON this includes what anything prints, but not what a process that `prints` writes to stdout. As text, what
    is printed is printed.
    """
    as_json = chosen_format(log_format, sys.stderr) == "json"
    configure(log_format, level)
    capture_errors()
    if as_json:
        capture_output("stderr", *([] if prints else ["stdout"]))
    if prints or not as_json:
        drop_direct_output()


def chosen_format(log_format: LogFormat, stream: TextIO) -> Literal["json", "text"]:
    """Return the format to use for a stream: with `auto`, text on a terminal and JSON elsewhere."""
    if log_format != "auto":
        return log_format
    return "text" if stream.isatty() else "json"


def get(name: str) -> FilteringBoundLogger:
    """Return the logger of a module; `configure` may be called later."""
    logger: FilteringBoundLogger = structlog.get_logger(module=name)
    return logger


_encode = msgspec.json.Encoder(enc_hook=str).encode


def _as_bytes(_logger: object, _method: str, event: EventDict) -> bytes:
    return _encode(event)


def _as_text(_logger: object, _method: str, event: EventDict) -> str:
    return _encode(event).decode()


def _on_one_line(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Some libraries put several lines into one."""
    event["event"] = " ".join(str(event["event"]).split())
    return event


def _without_module(_logger: object, _method: str, event: EventDict) -> EventDict:
    """People read the event."""
    event.pop("module", None)
    return event


def _text_renderer(stream: TextIO) -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty() and not os.environ.get("NO_COLOR"),
        pad_event_to=_EVENT_WIDTH,
        sort_keys=False,
        exception_formatter=structlog.dev.plain_traceback,
    )
