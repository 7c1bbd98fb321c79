"""Tests of ``appos-compile verify``: on real engines, with containers that are broken on purpose."""
