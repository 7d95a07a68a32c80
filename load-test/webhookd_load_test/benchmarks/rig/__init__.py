"""What a benchmark runs on: the services, the processes of webhookd, and what they use of the machine."""
