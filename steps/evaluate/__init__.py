"""evaluate: a random sample of a corpus, seeded defects to measure readers with, and automatic metrics (Ziya2, DE).

The sample is stratified by source and language, and its seed follows from the document set, the policy and the
number of the look, so that nobody can redraw until it looks good. The corpus itself is not changed. Metrics are
those of Ziya2's Table 1, by detectors that share nothing with the filter's rules.
"""
