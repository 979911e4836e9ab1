"""Image files of any format: opened, read by region, resampled, brought into stores."""
