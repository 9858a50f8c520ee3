"""Other people's tests, with and without Aiki."""
