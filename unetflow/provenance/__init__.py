"""Who made what, from what: receipts, run records, digests of code."""
