"""What is stored: Zarr arrays that survive a kill, their metadata, files written whole."""
