"""The core decides: each rule of the delivery protocol, fed by hand and told the time."""
