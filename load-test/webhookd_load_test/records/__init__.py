"""The records of a run: generated to a CSV file, and published from it."""
