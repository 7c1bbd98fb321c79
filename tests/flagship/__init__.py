"""The flagship as a whole: the requirement's commands, verification with faults, and what survives a kill."""
