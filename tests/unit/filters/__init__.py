"""Tests of the filters.

Oracles: the `jmespath` library defines what an expression returns. The expressions and records come from its compliance
suite (`test_compliance`, where that is installed), from chosen pairs and from a seeded generator. Python's `json`, made
strict, defines what JSON is. No doubles.
"""
