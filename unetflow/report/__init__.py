"""The report: what was run and how good it is, as one HTML file that needs no network."""
