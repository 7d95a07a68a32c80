"""Tests of the load test that need nothing."""
