"""The rules about package and deployment files."""
