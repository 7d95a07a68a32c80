"""How settings are written, read and refused; webhookd/settings.py says which settings there are."""
