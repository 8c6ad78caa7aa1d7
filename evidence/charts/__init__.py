"""Drawings of durations as SVG text that needs nothing beside it: for files, reports and paper."""
