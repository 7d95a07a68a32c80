"""Removes what only Linux has from the standard library; Python imports this first when its folder is in PYTHONPATH.

It shows that a command needs none of these functions. It does not show that macOS' own ones work.
"""

import os
import select
import selectors
import socket

LINUX_ONLY = {
    os: ("eventfd", "eventfd_read", "eventfd_write", "memfd_create", "pidfd_open", "pipe2", "sched_getaffinity"),
    select: ("epoll", "EPOLLIN", "EPOLLOUT", "EPOLLERR", "EPOLLHUP"),
    selectors: ("EpollSelector",),
    socket: ("SOCK_NONBLOCK", "SOCK_CLOEXEC"),
}

for module, names in LINUX_ONLY.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)

selectors.DefaultSelector = selectors.PollSelector  # type: ignore[misc,assignment]  # as where there is no epoll
