"""gate: the verdict, pass, fail or need_more, on exactly one set of documents.

Pass needs the sampled defect rate below the limit and the exact upper bound (finite population, readers' measured
sensitivity) below it too (DESIGN.md; steps/core/statistics.py). The step ends well in every state: what follows reads
the verdict, and everything that relies on it computes it again.
"""
