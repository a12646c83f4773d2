"""Measures the same work with Blindscore and with other systems for encrypted inference.

``cargo xtask compare`` makes the environments and runs it; docs/comparison.md says how to read what
comes out.
"""
