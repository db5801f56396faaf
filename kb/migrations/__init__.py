"""The history of the tables, applied by `kb.database` when a database is opened."""
