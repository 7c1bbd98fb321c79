"""Pages that the command writes, opened in a real browser; no engine is needed."""
