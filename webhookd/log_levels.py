"""Which lines of the log are written: the level of the process, levels of single modules, and debug at run time.

line of                                   is written from this level on
a module that has a level, or one below   that level; of several the longest name counts
another module                            debug while that is switched on, else the level of the process

A disabled line costs what it costs in structlog: a call of an empty function. The logger of a module is one object,
whose class has the empty functions; a change of a level gives it another class. So any thread may go on logging
meanwhile, and no lock of this module can stop a signal handler that changes the levels.
"""

import logging
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog
from structlog.typing import FilteringBoundLogger

from webhookd.line_folding import LineFolding


class LogLevels:
    """The levels of a process. It is a filter of logging, and makes the loggers of structlog."""

    def __init__(self, folding: LineFolding) -> None:
        self._folding = folding
        self._level = logging.INFO
        self._modules: Mapping[str, int] = {}
        self._debug = False
        self._loggers: dict[str, FilteringBoundLogger] = {}

    def configure(self, level: int, modules: Mapping[str, int]) -> None:
        """Set the level of the process and those of modules or libraries; debug is switched off."""
        self._level, self._modules, self._debug, self._loggers = level, modules, False, {}
        for name, own in modules.items():
            logging.getLogger(name).setLevel(own)  # without effect for webhookd's own modules, which log past logging
        self._apply()

    @property
    def debug(self) -> bool:
        """Whether debug is switched on."""
        return self._debug

    def switch_debug(self, *, on: bool) -> None:
        """Log the modules without a level of their own at debug, or as configured. Signal handlers may call it."""
        self._debug = on
        self._apply()

    def level_of(self, name: str) -> int:
        """Return the lowest level that a module or library writes."""
        while name:
            if name in self._modules:
                return self._modules[name]
            name = name.rpartition(".")[0]
        return logging.DEBUG if self._debug else self._level

    def logger(self, writer: object, processors: object, context: MutableMapping[str, Any]) -> FilteringBoundLogger:
        """Return the logger of the module that the context names; structlog calls it instead of a class."""
        name = context.get("module", "")
        made = self._class_of(name)(writer, processors, context)
        logger = self._loggers.setdefault(name, made)  # two threads may use it first
        logger.__class__ = self._class_of(name)  # the level may have changed since it was read
        return logger

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log a line of a library."""
        return record.levelno >= self.level_of(record.name)

    def _apply(self) -> None:
        level = self.level_of("")
        # Everything of webhookd is logged at debug; libraries write too much there.
        logging.getLogger().setLevel(logging.INFO if level <= logging.DEBUG else max(level, logging.WARNING))
        self._folding.enabled = level > logging.DEBUG
        for name, logger in [*self._loggers.items()]:
            logger.__class__ = self._class_of(name)

    def _class_of(self, name: str) -> type[Any]:
        return structlog.make_filtering_bound_logger(self.level_of(name))
