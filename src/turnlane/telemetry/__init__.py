"""Events of the running program, and what listens to them: logs, metrics, the loop watch."""
