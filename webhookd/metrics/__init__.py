"""Metrics: what a process counts and measures, and how Prometheus reads it.

declaration           the kinds of metrics; each has a name, a help text and labels
catalogue             every metric of webhookd; no other module declares one
samples               the values of metrics at one moment
tally                 counters for the hot path, which one thread writes without a lock
subscription_series   which subscriptions, of a bounded number, have series of their own
series_totals         their totals, and those of the others together
service_calls         measures the calls of the database, Redis and Kafka
exposition            which metrics a process serves, and where their values come from
scrape_application    answers Prometheus
multiprocess          metrics that the worker processes of the API record together
process_group         their memory and CPU time together
"""
