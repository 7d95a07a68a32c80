"""The command line: one module per command. It may import every other package."""
