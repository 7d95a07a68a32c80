"""How Kafka's programs are started: brokers, the format of their storage, and the tools of its administration."""

from collections.abc import Sequence
from pathlib import Path

from stack import install
from stack.kafka_jars import jars

TOOL_HEAP_MB = 128

QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
STARTS_SOON = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", QUIET)
"""Brokers of a test run for minutes, so a start within two seconds matters more than peak speed."""

RUNS_FAST = ("-XX:+UseG1GC", QUIET)

LOOPBACK = "127.0.0.1"


def jmx_properties(port: int) -> tuple[str, ...]:
    """The properties with which a JVM serves its counters by JMX, on loopback only and without authentication."""
    remote = "-Dcom.sun.management.jmxremote"
    return (
        f"{remote}.host={LOOPBACK}",
        f"{remote}.port={port}",
        f"{remote}.rmi.port={port}",
        f"{remote}.authenticate=false",
        f"{remote}.ssl=false",
        f"-Djava.rmi.server.hostname={LOOPBACK}",
    )


def jmx_url(port: int) -> str:
    """Where a JVM with these properties serves its counters."""
    return f"service:jmx:rmi:///jndi/rmi://{LOOPBACK}:{port}/jmxrmi"


def command(
    main_class: str,
    *arguments: str | Path,
    heap_mb: int = TOOL_HEAP_MB,
    warmed_up: bool = False,
    properties: Sequence[str] = (),
) -> list[str | Path]:
    """The command that runs a class of Kafka's jars. With `warmed_up` it compiles fully. Raises NotStarted."""
    tuned = RUNS_FAST if warmed_up else STARTS_SOON
    java = install.require(install.JAVA)
    return [java, f"-Xmx{heap_mb}m", *tuned, *properties, "-cp", f"{jars()}/*", main_class, *arguments]
