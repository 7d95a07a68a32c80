"""What happens during a run: brokers and processes are added, removed and killed."""
