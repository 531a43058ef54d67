"""choose_mixture: a search and the law fitted to it → the cell that is taken, as a recipe of continual pre-training."""
