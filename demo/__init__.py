"""The embedded set-up and demo: everything on one machine, no Docker, no root, no accounts.

`setup`, `preflight` and `lmplz` need only the standard library, so that the system's Python can run them.
"""
