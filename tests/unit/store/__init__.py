"""The database's URL and the text about its schema; no database."""
