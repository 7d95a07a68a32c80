"""Where coverage is measured. Python runs half as fast while it is, so it is not where that would say nothing new."""

import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from coverage import Coverage

PRODUCT = ("webhookd", "workers", "api", "command")
"""The packages whose coverage is measured, as `[coverage:run]` in setup.cfg says."""


@contextmanager
def unmeasured() -> Iterator[None]:
    """Measure nothing in this block, in any thread."""
    measuring = Coverage.current()
    if measuring is None:
        yield
        return
    measuring.stop()
    try:
        yield
    finally:
        measuring.start()


@contextmanager
def unmeasured_collection() -> Iterator[None]:
    """Measure what the import of each module of the product runs, and nothing else of the collection of tests."""
    if Coverage.current() is not None:
        import_product()
    with unmeasured():
        yield


def import_product() -> None:
    """Import every module of the product, as the tests together do, too."""
    for package in PRODUCT:
        for module in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
            import_module(module.name)
