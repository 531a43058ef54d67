"""Plans a run before any work starts: validates the recipe, fixes the inputs, and writes run.json (CONTRACT §4)."""
