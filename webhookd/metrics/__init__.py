"""Metrics: what a process counts and measures, and how Prometheus reads it.

declaration   the kinds of metrics; each has a name, a help text and labels
catalogue     every metric of webhookd; no other module declares one
tally         counters for the hot path, which one thread writes without a lock
exposition    which metrics a process serves, and where their values come from
"""
