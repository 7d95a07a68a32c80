"""The switch that takes webhookd offline, and what stands behind it."""
