"""The interpreter's switch interval, for many threads that mostly wait for each other."""

import sys

SWITCH_INTERVAL_S = 0.0005
"""How long a thread may run while another one waits. The default of 5 ms is as long as a whole delivery takes."""


def set_switch_interval() -> None:
    """Let the interpreter switch between threads more often."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
