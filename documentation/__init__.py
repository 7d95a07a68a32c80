"""Builds the documentation site from docs/ and zensical.toml, and checks it."""
