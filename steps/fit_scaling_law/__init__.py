"""fit_scaling_law: measured losses of a mixture study → laws with confidence, and the ratio that they advise.

L(R) and the critical mixture ratio after CMR (2407.17467), the data-centric law after Ziya2 (2311.03301, §7).
"""
