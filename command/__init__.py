"""The command line: one module per command; stands on top of everything else."""
