"""The pictures of the documentation, drawn by scripts from real runs."""
