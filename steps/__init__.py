"""The steps of tokenmill: one package per step, each a pure function from artifacts and config to one artifact."""
