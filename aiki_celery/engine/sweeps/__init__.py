"""Sweeps: plain functions that look after runs nobody is holding. Any number of workers may run them at once."""
