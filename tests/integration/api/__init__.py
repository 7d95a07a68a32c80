"""The API through Flask, over SQLite and the shipped fakes."""
