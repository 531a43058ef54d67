"""Trains the scorers: one SentencePiece model and one KenLM 5-gram per language.

Recipe of CCNet (arXiv 1911.00359; facebookresearch/cc_net@bda555b Makefile): unigram pieces, `lmplz -o 5
--discount_fallback`, on the normalised lines of a clean corpus (Wikipedia in the papers). `score` measures
with the same normalisation (steps/text/scorer_text.py), against what the model found in held-out documents
(reference.py). A published model is taken over instead of trained (imported.py, docs/scoring.md).
"""
