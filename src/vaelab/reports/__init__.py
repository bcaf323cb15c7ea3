"""Figures and numbers in, files that a person reads out: one module a stage."""
