"""The secret that signs the requests of a subscription."""
