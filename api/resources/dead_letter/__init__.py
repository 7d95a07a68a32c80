"""The dead letters of a subscription: records that were put aside."""
