"""Gives a LLaMA model and its tokenizer the Chinese characters that it lacks (Ziya2 §5.1).

The base is a Hugging Face LLaMA folder, or a small model made here from the mix. Characters become one token each;
their rows of embedding and output head are the weighted average of the rows of the pieces that used to encode them.
Text without those characters encodes exactly as before. Out comes a Hugging Face folder.
"""
