"""Filters: which records of a topic a subscription wants, as JMESPath expressions over the record's JSON value.

`expression` parses within bounds, `compilation` makes closures of the parsed tree with the help of `paths`,
`comparisons`, `projections` and `functions`, `budget` bounds what one evaluation may cost, `decoding` reads no more of
a record than the filters name, and `matcher` is what callers use.
"""
