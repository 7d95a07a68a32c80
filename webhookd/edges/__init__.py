"""What is done: one file per outside system, with no decision about the product."""
