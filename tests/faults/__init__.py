"""Real server processes, killed under load; what clients saw is judged by `turnlane.testing.history`."""
