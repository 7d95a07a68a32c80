"""Filters: JMESPath expressions over a record's JSON value that select the records a subscription wants.

| module | what it does |
|---|---|
| `matcher` | The interface for callers: decides whether a record matches all filters of a topic |
| `expression` | Parses an expression and checks its size and depth |
| `compilation` | Compiles the parsed tree to Python closures |
| `paths`, `comparisons`, `projections`, `functions` | Build the closures for one kind of node each |
| `decoding` | Checks that a record is JSON and decodes only the fields that the filters read |
| `budget` | Limits the steps and the memory that the filters may use on one record |
| `costs`, `charges` | Prices in steps and bytes: `costs` of tree nodes, `charges` of function calls |
"""
