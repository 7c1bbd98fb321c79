"""A stand-in for the self-hosted Convex backend: one executable of its kind and size that takes its flags.

The real binary comes in a container image only, which the lab cannot pull. This one is of the same kind (Rust and V8,
115 MB, dynamically linked to glibc, x86-64): deno as PyPI has it, changed so that it runs standin.js.
`python -m tests.lab.convex FILE` writes it.
"""

from __future__ import annotations
