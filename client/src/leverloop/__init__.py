"""Leverloop's client: log what was done, read what was learned, apply it within bounds."""
