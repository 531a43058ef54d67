"""review: freezes the labels that count into an artifact, an input of the gate.

Automatic readers read the sample blind: seeded defects look like all other documents to them, and to people. Labels
that people gave in the review page are taken from the store as they are at that moment.
"""
