"""What the checker knows of libraries: whose agents keep state, which call is async, who calls a function where.

`frameworks` (generated from published wheels) knows the classes of AutoGen, AG2, Agent Framework and their
clients; `effects` what functions do to loops, threads and processes; `hosts` in which context a registered
function runs.
The checked project's own environment is never looked at: the same file gives the same findings everywhere.
"""
