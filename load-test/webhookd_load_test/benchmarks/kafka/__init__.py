"""The records of the benchmarks: many at once, and so many a second."""
