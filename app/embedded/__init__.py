"""The embedded default: PostgreSQL in a wheel beside the embedded log, one process, no server to install."""
