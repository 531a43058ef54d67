"""Decides which documents each of the three training stages sees, and in which order (Ziya2 §3, Table 2).

Stage 1 takes approved web corpora, stage 2 supervised tasks with as much of stage 1 again, stage 3 mathematics
with samples of both. Text is not moved: what comes out are plans, tables of (shard, row) in a seeded global order,
and the documents held out for evaluation. Every corpus must carry a verdict that this recipe accepts.
"""
