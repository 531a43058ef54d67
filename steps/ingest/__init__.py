"""Turns raw objects (WARC, WET, JSONL, JSON, Parquet) into the first corpus of documents.

Every raw record becomes a document, or is removed with a reason in the ledger (revisit, status, content type
…), or is quarantined (broken, oversized, undecodable). Pages are decoded by declared, BOM or detected
encoding, and their main text is extracted on resiliparse's parser (Bevendorff et al. 2018), paragraphs preserved.
`step.py` fetches, counts and writes; `reader.py` parses, in a child process without keys that `sandbox.py` watches.
Source: DESIGN.md, ingest.
"""
