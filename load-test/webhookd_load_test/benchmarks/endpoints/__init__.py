"""The endpoints that the benchmarks deliver to, apart from nginx."""
