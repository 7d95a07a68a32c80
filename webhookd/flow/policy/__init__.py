"""What operators allow tenants to see of a topic's records."""
