"""Turns raw objects (WARC, WET, JSONL, JSON, Parquet) into the first corpus of documents.

Every raw record becomes a document, or is removed with a reason in the ledger (revisit, status, content type
…), or is quarantined (broken, oversized, undecodable). Pages are decoded by declared, BOM or detected
encoding, and their main text is extracted with resiliparse (Bevendorff et al. 2018), paragraphs preserved.
Source: DESIGN.md, ingest.
"""
