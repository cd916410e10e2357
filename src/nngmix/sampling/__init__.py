"""Pseudo-anomaly samplers."""
