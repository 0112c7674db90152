"""Packages and deployment files: what a project installs, how it is started, how long a run may take."""
