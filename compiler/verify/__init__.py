"""The acceptance run: builds the image, boots the container, and holds what it does against what the model says.

A check is one function and one row of a table; ``CHECKS`` and ``FAULTS`` are the tables, ``running`` goes through them.
"""
