"""Scores documents by perplexity and quality, and keeps the better ones (Ziya2's AS, arXiv 2311.03301 §2.1).

Per language, from the user's own data: the best 30 % are high, 30-60 % medium, the rest low and dropped; an
unnaturally low perplexity (bot-written stubs, lists, repetition) is a defect too. cc_net's code cuts at the
same 30 and 60 (facebookresearch/cc_net@bda555b), with cut-offs of its own crawl, which do not transfer. What is best
is said by the quality score (quality.py), or by plain perplexity as in both papers. docs/scoring.md tells more.
"""
