"""The promises of the one HTTP endpoint for tests, over real sockets."""
