"""publish: an approved set of documents becomes a published corpus.

The verdict is computed again and must be a pass on exactly these documents. Kept rows are written once into new base
shards, without what the takedown list names, and the catalog points to the corpus and to its de-duplication index.
"""
