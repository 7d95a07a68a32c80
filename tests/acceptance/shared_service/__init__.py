"""Acceptance tests that use one running service, which none of them damages."""
