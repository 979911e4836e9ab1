"""What only the workflow needs: settings, logs, digests of raw files.

Nothing in the package imports this; the scripts and `common.smk` do.
"""
