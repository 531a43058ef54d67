"""Speed and memory of the stages: `python -m benchmarks.speed.<topic>` prints one Markdown table."""
