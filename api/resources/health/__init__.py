"""The health of the system, and whether this API process is ready."""
