"""The shipped fakes: what the embedded default and the tests run on instead of an outside system."""
