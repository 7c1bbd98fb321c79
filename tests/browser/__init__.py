"""The dashboard, driven in a real browser against a running flagship."""
