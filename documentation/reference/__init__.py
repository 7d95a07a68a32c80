"""Writes the pages of docs/reference that come from the code: settings, API, commands and codes."""
