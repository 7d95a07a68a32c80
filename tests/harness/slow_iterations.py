"""What the watchdog of an ingest process has logged of turns in which its loop did nothing else for a second."""

STUCK = '"event":"stuck_loop_iteration"'
STUCK_AS_TEXT = "stuck_loop_iteration "


def stuck_turns(log: str) -> list[str]:
    """The lines that say so, in a log of either format."""
    return [line for line in log.splitlines() if STUCK in line or STUCK_AS_TEXT in line]
