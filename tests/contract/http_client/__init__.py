"""The exchange loop against servers that misbehave.

Oracles: the sockets, TLS and kernel are real, and so is the loop; only the endpoint is ours. What may be asserted is
the outcome an errand hears and what the server saw on its connections; times only as bounds well apart.
"""
