"""Compiled text kernels that several steps share: UTF-8, segmentation, normalisation, n-grams, scoring."""
