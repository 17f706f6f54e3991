"""Decides which U-Net to try next, where it runs and when it stops."""
