"""Rules that detect faults: of the system, of workers and queues, and of a subscription that stalls."""
