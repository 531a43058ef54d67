"""Turns a stage's documents into token windows of fixed length (Ziya2 §3.2, Fig. 3).

Stage 1 splices shuffled documents: <eos> ends each, long ones go on in the next window. Stages 2 and 3 put whole
documents of one task into a window, best fit first. Documents in a window never see each other, and positions
restart with each. Out come Megatron-compatible token files, and tables that name the document behind every token.
"""
