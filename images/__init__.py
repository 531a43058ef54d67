"""Builds the images that DAGs and the stack run, and pins them: `python -m images.build`."""
