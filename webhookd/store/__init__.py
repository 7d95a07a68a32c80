"""What the database holds: tables, sessions and one module of queries per noun."""
