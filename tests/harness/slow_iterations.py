"""What the watchdog of an ingest process logs of iterations longer than a second."""

STUCK = '"event":"stuck_loop_iteration"'
STUCK_AS_TEXT = "stuck_loop_iteration "


def stuck_iterations(log: str) -> list[str]:
    """The lines of these iterations, in a log of either format."""
    return [line for line in log.splitlines() if STUCK in line or STUCK_AS_TEXT in line]
