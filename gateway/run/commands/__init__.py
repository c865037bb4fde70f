"""Commands: one module per family; each asks wiring for parts, shows what they say, and returns the exit code.

Takes:      words from the command line, the configuration.
Leaves:     tables or JSON on standard output, progress and complaints on standard error.
Fails how:  `cli.main` turns every error into a sentence and an exit code (0, 1, 2, 3 as in README.md).
"""
