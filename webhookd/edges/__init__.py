"""The code that talks to outside systems: Kafka, Redis, mail servers and endpoints. Decisions are made in flow/."""
