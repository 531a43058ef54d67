"""What Ziya2's data-centric law is fitted to: coherence, readability and similarity of what a model was trained on.

For each training run: coherence and readability from the review labels of the corpora behind it, similarity between its
texts and each held-out set by an embedder, and the held-out losses over its tokens. `tokenmill scaling-law --law
data_centric` reads the file that comes out.
"""
