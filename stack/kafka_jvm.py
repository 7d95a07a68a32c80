"""How Kafka's programs are started: brokers, the format of their storage, and the tools of its administration."""

from pathlib import Path

from stack import install
from stack.kafka_jars import jars

TOOL_HEAP_MB = 128

QUIET = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
STARTS_SOON = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", QUIET)
"""Brokers of a test run for minutes, so a start within two seconds matters more than peak speed."""

RUNS_FAST = ("-XX:+UseG1GC", QUIET)


def command(
    main_class: str, *arguments: str | Path, heap_mb: int = TOOL_HEAP_MB, warmed_up: bool = False
) -> list[str | Path]:
    """The command that runs a class of Kafka's jars. With `warmed_up` it compiles fully. Raises NotStarted."""
    tuned = RUNS_FAST if warmed_up else STARTS_SOON
    java = install.require(install.JAVA)
    return [java, f"-Xmx{heap_mb}m", *tuned, "-cp", f"{jars()}/*", main_class, *arguments]
