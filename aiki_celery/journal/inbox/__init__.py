"""The events that runs receive."""
