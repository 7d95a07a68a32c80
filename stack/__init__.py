"""Starts the services that webhookd needs, for tests, benchmarks and `make up`. Not installed with the product.

Every service listens on 127.0.0.1, keeps its data in a directory of its own and ends with the process that started it.
"""
