"""Fakes that ship with webhookd: the embedded default and the tests use them instead of outside systems."""
