"""Runs a scenario: services, subscriptions, load, timeline, comparison, report."""
