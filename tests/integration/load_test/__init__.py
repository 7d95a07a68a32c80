"""The processes of the load test, with real files, sockets and services."""
