"""Filters: JMESPath expressions over a record's JSON value that select the records a subscription wants.

| module | what it does |
|---|---|
| `matcher` | The interface for callers: decides whether a record matches all filters of a topic |
| `expression` | Parses an expression and checks its size and depth |
| `compilation` | Compiles the parsed tree to Python closures |
| `paths`, `comparisons`, `projections`, `functions` | Build the closures for one kind of node each |
| `decoding` | Checks that a record is JSON and decodes only the fields that the filters read |
| `shared_filters`, `shared_decoding` | The filters of many subscriptions, evaluated on a record that is decoded once |
| `equality_index`, `equality_predicates` | Find the filters that may accept a record by the values that they require |
| `budget` | Limits the steps and the memory that the filters may use on one record |
| `costs`, `charges` | Prices in steps and bytes: `costs` of tree nodes, `charges` of function calls |
"""
