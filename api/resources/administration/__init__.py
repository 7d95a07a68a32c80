"""Takes webhookd offline and online, and lists every subscription with its state."""
