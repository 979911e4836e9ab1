"""What `make demo` draws: images with a known truth."""
