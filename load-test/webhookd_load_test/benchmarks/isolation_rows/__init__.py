"""The rows of `isolation`: what is done to other subscriptions while ten healthy ones are measured."""
