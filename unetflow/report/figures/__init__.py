"""Figures of the report: plots as inline SVG, pictures as PNG; equal data give equal bytes."""
