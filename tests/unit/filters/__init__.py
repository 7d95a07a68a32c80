"""Tests of the filters.

Oracles: the `jmespath` library itself says what an expression answers, its own compliance suite (`compliance/`, under
its licence) and a seeded generator say what to ask; Python's `json`, made strict, says what JSON is. No doubles.
"""
