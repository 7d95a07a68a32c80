"""Which alert mails are due, to whom, and their texts."""
