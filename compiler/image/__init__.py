"""What is in an image: its layers, their entries and the packages that are installed in it."""
