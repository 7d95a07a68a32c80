"""Writes due alerts to the outbox and sends them."""
