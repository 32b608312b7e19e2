"""The control files: one table, one reader, routing, and where everything lies."""
