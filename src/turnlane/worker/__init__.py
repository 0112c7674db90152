"""Runs turns: one task an attempt, fresh agents, one loop a process."""
