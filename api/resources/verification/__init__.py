"""The question to an endpoint whether it wants the requests of a subscription."""
