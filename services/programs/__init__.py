"""qmail's programs for `.qmail` lines and shells, and daemontools' for scripts: arguments, environment, standard input.

No role's own: every container with users' programs can carry them (RIGHTS.toml says which do).
"""
