"""Question-answer pairs from corpus passages, by discipline, through any OpenAI-compatible endpoint.

After Llama-3-SynE (2407.18743): a passage inspires a problem and its solution in one of nine disciplines. Answers are
kept by the digest of their request, so that nothing is asked twice; what can be computed (mathematics, programs) is
checked in children without keys; what comes out is a corpus that rules, de-duplication and the gate take like any
other.
"""
