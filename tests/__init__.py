"""The tests of the compiler, one file per module, and the real readers they ask."""
