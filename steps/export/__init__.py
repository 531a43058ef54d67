"""Writes the trained model as a Hugging Face folder with a model card, and proves that it is the same model.

The trainer left logits of held-out windows; transformers must give the same ones from the exported folder, document
by document, before anything is committed.
"""
