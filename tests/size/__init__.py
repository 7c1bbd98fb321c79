"""Sizes of real images, on a real engine."""
