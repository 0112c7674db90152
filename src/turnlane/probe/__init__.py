"""The probe: drives a program with several simulated users and names the cause of what goes wrong."""
