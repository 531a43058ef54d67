"""Removes bad documents, paragraphs and sentences by rules (Ziya2's RF, arXiv 2311.03301 §2.1).

Signals are measured once by compiled kernels; rules are data (configs/rules/*.yaml), applied in
cascade: documents for length and format, then paragraphs, then sentences, mostly for advertising and toxicity.
Ziya2 does not publish its rules; ours follow reference lists whose source each rule names.
"""
