"""Tests of what builds and checks the documentation site."""
