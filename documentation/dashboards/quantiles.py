"""Expressions for the quantiles of a histogram."""


def quantiles(histogram: str, *, by: str = "") -> dict[str, str]:
    """The median and the 99th percentile, by their legends; `by` is a label, or several with commas between them."""
    labels = f"{by}, le" if by else "le"
    names = "".join(f"{{{{{label.strip()}}}}} " for label in by.split(",") if label)
    rate = f"sum by ({labels}) (rate({histogram}_bucket[$__rate_interval]))"
    return {f"{names}{name}": f"histogram_quantile({share}, {rate})" for name, share in (("p50", 0.5), ("p99", 0.99))}
