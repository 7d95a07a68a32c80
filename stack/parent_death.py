"""Runs a command that ends with its parent, optionally as another user.

    python parent_death.py PARENT_PID SIGNAL USER command…

This is a script that is started by its path, because this must happen in the child between fork and exec, and code
there (`preexec_fn`) may deadlock when the parent has threads. There is no parent-death signal on systems other than
Linux: there a killed parent leaves the command running.
"""

import ctypes
import os
import pwd
import sys

PR_SET_PDEATHSIG = 1


def switch_user(user: str) -> None:
    """Become this user for good, and give up all rights of root."""
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def die_with_parent(parent_pid: int, signal_number: int) -> None:
    """Have the kernel send this process the signal when the parent has ended.

    Call it after `switch_user`, which would undo it. If the parent has already ended no signal comes, so it exits.
    """
    if sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent_pid:
        sys.exit(1)


def main() -> None:
    """Set the parent-death signal, then replace this process by the command."""
    parent_pid, signal_number, user, *command = sys.argv[1:]
    if user:
        switch_user(user)
    die_with_parent(int(parent_pid), int(signal_number))
    os.execvp(command[0], command)  # noqa: S606 - the command is the caller's own


if __name__ == "__main__":
    main()
