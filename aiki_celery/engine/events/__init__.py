"""What a run waits for from outside."""
