"""Log lines: a fixed event name and facts as fields, as one JSON object or as text.

webhookd's own lines are written directly to stderr, since each delivery logs one; it takes about 5 µs. Lines of
libraries come through the standard library's logging and have the same format. `configure_process` also takes what
never went through it: output of libraries, warnings, and errors that nothing catches.
"""

import logging
import os
import sys
from collections.abc import Sequence
from typing import Any, Literal, TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from webhookd.configuration.log_settings import LogFormat
from webhookd.configuration.module_levels import parse_levels
from webhookd.line_folding import LineFolding
from webhookd.line_time import LineTime
from webhookd.line_writer import LineHandler, LineWriter
from webhookd.log_levels import LogLevels
from webhookd.process_output import capture_errors, capture_output, drop_direct_output

folding = LineFolding()
"""What decides about repeated lines of this process; service_watch tells it which services are absent."""

levels = LogLevels(folding)
"""The levels of this process; debug_signal switches them."""

_TERMINAL_TIMESTAMP = structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False)
_EVENT_WIDTH = 28


def configure(log_format: LogFormat, level: str, stream: TextIO | None = None, *, modules: Sequence[str] = ()) -> None:
    """Write all log lines of this process, those of libraries included, to stderr (or `stream`) in one format.

    `modules` has other levels for single modules and libraries, as the setting `log_levels` does.
    """
    stream = stream or sys.stderr
    levels.configure(logging.getLevelNamesMapping()[level.upper()], parse_levels(modules))
    as_json = chosen_format(log_format, stream) == "json"
    stamp = LineTime() if as_json else _TERMINAL_TIMESTAMP
    writer = LineWriter(stream)
    structlog.configure(
        processors=[
            folding.add_level,
            stamp,
            structlog.processors.format_exc_info,
            *([_as_bytes] if as_json else [_without_module, _text_renderer(stream)]),
        ],
        logger_factory=lambda *_: writer,
        wrapper_class=cast("type[Any]", levels.logger),  # structlog only calls it
        cache_logger_on_first_use=True,
    )
    handler = LineHandler(writer)
    handler.addFilter(levels.filter)
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
    logging.getLogger().handlers[:] = [handler]


def configure_process(log_format: LogFormat, level: str, *, modules: Sequence[str] = (), prints: bool = False) -> None:
    """Do the same for a process of the service: also what anything in it warns or raises is a log line.

    With JSON this includes what anything prints, but not what a process that `prints` writes to stdout. As text, what
    is printed is printed.
    """
    as_json = chosen_format(log_format, sys.stderr) == "json"
    configure(log_format, level, modules=modules)
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
