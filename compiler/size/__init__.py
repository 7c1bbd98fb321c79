"""Who asked for each byte of an image."""
