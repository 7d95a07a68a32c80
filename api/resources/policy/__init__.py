"""Authorization policies: what tenants may see of the records of topics."""
