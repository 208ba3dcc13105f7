"""The read model in PostgreSQL: migrations, and the writer that the sink stage drives. No other door."""
