"""A thread that lasts as long as this process, for what the kernel ties to the thread that did it.

The parent-death signal of a child comes when the thread that forked it has ended. So a thread that ends earlier than
its children lets this one start them.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

_THREAD = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lasting")


def call(function: Callable[[], Result]) -> Result:
    """Call the function in a thread that lasts: this one if it is the main thread. Blocks; raises what it raises."""
    if threading.current_thread() is threading.main_thread():
        return function()
    return _THREAD.submit(function).result()
