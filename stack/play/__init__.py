"""`make play`: webhookd on a stack of its own, with orders, an endpoint and a mail server, in one terminal."""
