"""classifier: labelled texts → a fastText model whose probability of one label `filter` can use as a signal.

Labelled texts are the supervised records of a corpus: the prompt is the text, the response its label. Plain documents
of the same corpus are what the model will meet later: some of their lines are trained on as a label of their own
(Joulin et al. 2017, arXiv 1607.01759; Dolma trains its toxicity taggers so, arXiv 2402.00159 section 5).
"""
