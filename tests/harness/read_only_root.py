"""Runs a command where nothing is writable: a read-only root, no /tmp, a user without a name, no home.

It needs a kernel that lets this user create namespaces. The files keep their owner, so the interpreter can be read. The
folder that has the checkout stays, as a part of the read-only root.
"""

import os
import subprocess
from functools import cache

import pytest

from tests.harness.pages import ROOT

UID = 54321

SCRIPT = """
for mount in /tmp /var/tmp $1; do
    case "$2/" in "$mount"/*) continue;; esac
    mount -t tmpfs -o ro,mode=0555,size=4k none "$mount"
done
shift
mount -o remount,ro,bind /
cd /
export PYTHONPATH=$1 PYTHONDONTWRITEBYTECODE=1
shift
exec unshare --user --map-user=54321 --map-group=54321 env -u HOME -u TMPDIR -u TEMP -u TMP -u USER -u LOGNAME "$@"
"""


def read_only_root(*, shared_memory: bool) -> tuple[str, ...]:
    """Return what to put before a command; without `shared_memory` /dev/shm is read-only too. Skips where it fails."""
    more = "" if shared_memory else "/dev/shm"  # noqa: S108 - a mount, no file
    wrapper = ("unshare", "--user", "--map-root-user", "--mount", "bash", "-ec", SCRIPT, "-", more, str(ROOT))
    if not _works(wrapper):
        pytest.skip("this kernel does not let this user create namespaces")
    return wrapper


@cache
def _works(wrapper: tuple[str, ...]) -> bool:
    try:
        return subprocess.run([*wrapper, "true"], capture_output=True, check=False, env=os.environ).returncode == 0
    except FileNotFoundError:
        return False
