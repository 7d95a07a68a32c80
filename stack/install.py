"""Finds the programs that the services need, or installs them from the system's packages when the user may."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stack.errors import NotStarted

POLICY = Path("/usr/sbin/policy-rc.d")
"""Debian runs this script before it starts a system service; exit code 101 forbids the start."""

APT_GET = Path("/usr/bin/apt-get")

JAVA_AT_LEAST = 17


def _usable(path: Path) -> bool:
    return os.access(path, os.X_OK)


def _has_postgres_beside(initdb: Path) -> bool:
    return _usable(initdb) and _usable(initdb.resolve().with_name("postgres"))


def _is_java_new_enough(java: Path) -> bool:
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=30).stderr
    except OSError:
        return False
    found = re.search(r'version "(\d+)', said)
    return found is not None and int(found[1]) >= JAVA_AT_LEAST


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program's name, the packages that contain it (distributions differ), and its path outside the PATH."""

    name: str
    packages: tuple[str, ...]
    fallback_glob: str
    accepts: Callable[[Path], bool] = _usable


REDIS_SERVER = Program(name="redis-server", packages=("redis-server",), fallback_glob="usr/bin/redis-server")
NGINX = Program(name="nginx", packages=("nginx-light", "nginx"), fallback_glob="usr/sbin/nginx")
OPENSSL = Program(name="openssl", packages=("openssl",), fallback_glob="usr/bin/openssl")
MAVEN = Program(name="mvn", packages=("maven",), fallback_glob="usr/bin/mvn")
INITDB = Program(
    name="initdb",
    packages=("postgresql",),
    fallback_glob="usr/lib/postgresql/*/bin/initdb",
    accepts=_has_postgres_beside,
)
PGBOUNCER = Program(name="pgbouncer", packages=("pgbouncer",), fallback_glob="usr/sbin/pgbouncer")
PROMTOOL = Program(name="promtool", packages=("prometheus",), fallback_glob="usr/bin/promtool")
JAVA = Program(
    name="java",
    packages=("default-jre-headless", "openjdk-17-jre-headless"),
    fallback_glob="usr/lib/jvm/*/bin/java",
    accepts=_is_java_new_enough,
)


def find(program: Program) -> Path | None:
    """Return the path of a program: from the PATH, or else the newest version in the distributions' directories."""
    on_path = shutil.which(program.name)
    hidden = sorted(Path("/").glob(program.fallback_glob), key=_numbers, reverse=True)
    candidates = [*([Path(on_path)] if on_path else []), *hidden]
    return next((path for path in candidates if program.accepts(path)), None)


def may_install() -> bool:
    """Whether this user can install packages here."""
    return os.geteuid() == 0 and APT_GET.exists()


def require(program: Program, *, may_install: Callable[[], bool] = may_install) -> Path:
    """Return the path of a program; install it if it is missing. Raises NotStarted with the package to install."""
    found = find(program)
    for package in program.packages if found is None and may_install() else ():
        _install(package)
        found = find(program)
        if found is not None:
            break
    if found is None:
        raise NotStarted(f"needs {program.name}: apt-get install {program.packages[-1]}")
    return found


def require_all(programs: Iterable[Program], *, may_install: Callable[[], bool] = may_install) -> None:
    """Raise NotStarted that names all missing programs at once, unless `require` may install them."""
    missing = [] if may_install() else [program for program in programs if find(program) is None]
    if missing:
        names = ", ".join(program.name for program in missing)
        packages = " ".join(program.packages[-1] for program in missing)
        raise NotStarted(f"needs {names}: apt-get install {packages}")


def _numbers(path: Path) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", str(path))]


def _install(package: str) -> None:
    """Install a package; update the package lists only if that fails."""
    print(f"stack: installing {package} with apt-get", flush=True)
    with _no_system_service_starts():
        if not _apt_get("install", "--yes", "--no-install-recommends", package):
            _apt_get("update")
            _apt_get("install", "--yes", "--no-install-recommends", package)


def _apt_get(*arguments: str) -> bool:
    done = subprocess.run(
        [APT_GET, "-qq", "-o", "DPkg::Lock::Timeout=120", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last_line = (done.stdout.strip().splitlines() or ["no output"])[-1]
        print(f"stack: apt-get {arguments[0]} failed: {last_line}", flush=True)
    return done.returncode == 0


@contextmanager
def _no_system_service_starts() -> Iterator[None]:
    """Forbid that a package starts its service, which would keep its port. An existing policy is kept."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)
