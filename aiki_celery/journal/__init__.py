"""What is stored, and the only SQL of the package."""
