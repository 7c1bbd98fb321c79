"""What a binary needs, and whether an image has it: a file -> facts, facts and an image -> findings."""
