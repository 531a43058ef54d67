"""deduplicate: removes what was already there, by URL, by stripped text and by near-identical text.

Ziya2 (arXiv 2311.03301, section 2.1) removes duplicates with a Bloom filter on URLs, exactly after stripping
punctuation and emoji, and with SimHash (Charikar 2002). Here every fuzzy pair is verified against the document
that stays, nothing is removed by transitive closure, and earlier published dumps take part through their indexes.
"""
