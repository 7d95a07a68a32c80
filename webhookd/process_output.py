"""Turns what a process prints, warns and raises into log lines.

source                                        log line
sys.stdout, sys.stderr                        `output`, one for each line
the warnings module                           of the logger `py.warnings`
an error that ends the process or a thread    `unhandled_error`, with its traceback
"""

import logging
import sys
import threading
import warnings
from types import TracebackType
from typing import Any

import structlog

_log = structlog.get_logger(module=__name__)


def capture_errors() -> None:
    """Log warnings, and errors that nothing catches, in the current process."""
    sys.excepthook = _log_error
    threading.excepthook = _log_thread_error
    sys.unraisablehook = _log_unraisable
    logging.captureWarnings(capture=True)  # so that Celery does not, which would replace the function below
    _install(warnings, "showwarning", _log_warning)


def capture_output(*names: str) -> None:
    """Log what the current process prints to `stdout` or `stderr`; the log has its own reference to the real stream."""
    for name in names:
        _install(sys, name, OutputLines(name))
        _install(sys, f"__{name}__", OutputLines(name))


def drop_direct_output() -> None:
    """Drop what libraries write past `sys.stdout`: Celery's advice on signals, which is wrong for webhookd."""
    _install(sys, "__stdout__", OutputLines("stdout"))


def _install(module: object, name: str, value: Any) -> None:  # noqa: ANN401 - these attributes have types of files
    setattr(module, name, value)


class OutputLines:
    """A text stream whose lines become log lines. It has no `fileno`: Celery writes to one without this stream."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, name: str) -> None:
        self._name = name
        self._here = threading.local()

    def isatty(self) -> bool:
        """Return False, so that nothing is coloured."""
        return False

    def writable(self) -> bool:
        """Return True, as a stream for output does."""
        return True

    def flush(self) -> None:
        """Do nothing: complete lines are logged at once."""

    def write(self, text: str) -> int:
        """Log the complete lines; the rest waits for the end of its line. Lines of two threads do not mix."""
        *lines, self._here.rest = (getattr(self._here, "rest", "") + text).split("\n")
        for line in lines:
            self._write_line(line.rstrip())
        return len(text)

    def _write_line(self, line: str) -> None:
        # What is printed here while such a line is logged must not be logged again: it might not end.
        if not line or getattr(self._here, "logging", False):
            return
        self._here.logging = True
        try:
            if self._name == "stderr":  # a command's last words, for instance: no level of the settings drops them
                _log.error("output", stream=self._name, text=line)
            else:
                _log.warning("output", stream=self._name, text=line)
        finally:
            self._here.logging = False


def _log_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        _log.error("unhandled_error", exc_info=(kind, error, trace))


def _log_thread_error(hook: threading.ExceptHookArgs) -> None:
    if hook.exc_value is None or issubclass(hook.exc_type, SystemExit):
        return
    thread = hook.thread.name if hook.thread else ""
    _log.error("unhandled_error", thread=thread, exc_info=(hook.exc_type, hook.exc_value, hook.exc_traceback))


def _log_unraisable(hook: "sys.UnraisableHookArgs") -> None:
    if hook.exc_value is not None:
        trace = (hook.exc_type, hook.exc_value, hook.exc_traceback)
        _log.error("unhandled_error", place=repr(hook.object), exc_info=trace)


def _log_warning(message: Warning | str, category: type[Warning], *_: object) -> None:
    logging.getLogger("py.warnings").warning("%s: %s", category.__name__, message)
