"""`turnlane check`: finds the hazards in Python, notebooks, TypeScript, deployment files; rewrites what is safe.

A run is a row of steps: find the files, read each into facts (in several processes; the facts depend on nothing
but the file's bytes and are kept between runs), put the facts of a project together, ask the rules, drop what the
user silenced, report. Nothing of the checked project is ever imported or run.
"""
