"""When things run: one file per DAG. No data work, no heavy import."""
