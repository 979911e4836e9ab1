"""Connected components of images of any size: blocks as run-length encodings, merged."""
