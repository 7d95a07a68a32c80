"""The floors of `bench`: the least that a case can cost, each measured in a process of its own."""
