"""Writing inside somebody else's transaction, and a step's body inside ours."""
