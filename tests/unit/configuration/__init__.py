"""Tests of how settings are written, read and refused."""
