"""`make play`: webhookd on a stack of its own, with orders, an endpoint and a mailbox, in one terminal."""
