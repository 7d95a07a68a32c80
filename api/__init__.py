"""The management API: Flask over the store."""
