"""The PostgreSQL engine while its database is away, full, silent or stingy: turns wait, nothing is lost."""
