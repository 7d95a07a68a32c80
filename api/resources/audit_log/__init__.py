"""Who has changed what, for operators."""
