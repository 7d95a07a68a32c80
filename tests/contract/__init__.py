"""Contract tests: each suite runs against the real outside system and against the fake that ships with webhookd."""
