"""The worker on shipped fakes: what it sends, when it stops and what it reports."""
