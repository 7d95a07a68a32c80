"""The HTTP client against servers that misbehave.

Real: sockets, TLS, kernel and the event loop; only the endpoint is a test server. Tests may assert the outcomes that a
request sequence gets and what the server received; times only as bounds that are far apart.
"""
