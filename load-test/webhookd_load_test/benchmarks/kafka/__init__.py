"""The topics of the benchmarks: created, filled with records, and asked for their offsets."""
