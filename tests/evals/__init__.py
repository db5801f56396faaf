"""Measured questions over the guide, and the checks that keep them honest."""
