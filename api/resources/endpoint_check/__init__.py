"""Whether requests may go to a URL, before a subscription with it is registered."""
