"""Quality tables on data that nobody here wrote, or that nobody tuned on: `python -m benchmarks.quality.<topic>`."""
