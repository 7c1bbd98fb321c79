"""The real readers of each generated format: what it understood comes out, or its own error message."""
