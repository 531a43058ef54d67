"""Keeps the wanted languages and makes their text uniform (Ziya2's data preprocessing, DP).

Language classification, repair of mojibake, removal of invisible characters, emoticons and ornaments,
Traditional to Simplified, width and punctuation by language, masking of personal data. Documents of other
languages are removed with their guess in the ledger. Source: Ziya2 (2311.03301) section 2.1; DESIGN.md,
preprocess.
"""
