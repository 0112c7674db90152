"""The engine of a cluster: PostgreSQL, with the queues of pgmq."""
