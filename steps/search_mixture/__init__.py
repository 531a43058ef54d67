"""search_mixture: proxy models trained on a grid or a design of mixtures → losses per cell, and which are worth it.

The two knobs are those of the ALMR paper (2409.06624): the additional language's share of the tokens and the peak
learning rate. What it found best was not published, so it is searched.
"""
