"""The dead letters of a subscription: records that were not delivered."""
