"""The services webhookd stands on, started for a while: the one place that knows how.

For tests, benchmarks and `make up`; not installed with the product. Everything listens on 127.0.0.1, keeps its
state in a directory of its own and dies with the process that started it.
"""
