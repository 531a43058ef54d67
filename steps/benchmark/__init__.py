"""Runs lm-evaluation-harness on the base model and on every training stage, and compares the result with the champion.

The harness works in a child without keys or network. Code that a model wrote runs one door further in, in a child
that can neither write, connect nor start anything (`sandbox.py`). Scores, their intervals and every item's answer are
the artifact; the comparison with the registry's champion decides on the alias only where the recipe says so.
"""
