"""How quick the command is, beside its goals: ``python -m benchmarks``."""
