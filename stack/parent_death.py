"""Run a command that dies with its parent, as another user if asked: `leash.py PARENT_PID SIGNAL USER command…`.

A script of its own, started by path, because what it does has to happen in the child, between fork and exec, and code
there (`preexec_fn`) may deadlock when the parent has threads. Elsewhere than on Linux there is no leash: the command
runs, and a parent that is killed without a chance to clean up leaves it behind.
"""

import ctypes
import os
import pwd
import sys

PR_SET_PDEATHSIG = 1


def switch_user(user: str) -> None:
    """Drop every right of root for good."""
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def die_with_parent(parent_pid: int, signal_number: int) -> None:
    """Have the kernel send the signal when the parent is gone.

    Called after the change of user, which would undo it. A parent that is gone already sends nothing, hence the look.
    """
    if sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent_pid:
        sys.exit(1)


def main() -> None:
    """Tie this process to its parent, then become the command."""
    parent_pid, signal_number, user, *command = sys.argv[1:]
    if user:
        switch_user(user)
    die_with_parent(int(parent_pid), int(signal_number))
    os.execvp(command[0], command)  # noqa: S606 - the command is the caller's own


if __name__ == "__main__":
    main()
