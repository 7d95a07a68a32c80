"""Makes the documentation: its site, its generated reference pages, and the pictures of real runs."""
