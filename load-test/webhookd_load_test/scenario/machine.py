"""What a run was measured on, for people: the machine, and the versions of what took part."""

import os
import platform
import sys
from pathlib import Path

import confluent_kafka

from webhookd import __version__

GIGABYTE = 1e9


def machine() -> dict[str, str]:
    """The processor, the cores that this process may use, the memory, and the system."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory_bytes / GIGABYTE:.1f} GB",
        "system": f"{platform.system()} {platform.release()}",
    }


def versions() -> dict[str, str]:
    """The versions of the load test's own libraries, and of webhookd in this checkout."""
    return {
        "webhookd": __version__,
        "Python": sys.version.split()[0],
        "librdkafka": str(confluent_kafka.libversion()[0]),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
