"""The benchmarks: what webhookd costs, in ratios of one run."""
