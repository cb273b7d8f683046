"""The programs that readers paste."""
