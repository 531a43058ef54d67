"""The contract that every step shares.

An artifact is an immutable folder in a store; a step turns artifacts and a config into one artifact, in
parts that survive a kill. Everything here is independent of what any step does.
"""
