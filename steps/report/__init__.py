"""Report pages: what a person looks at after a stage, instead of reading logs."""
