"""What the parts tell each other: frozen records, statuses, transitions, lifecycle events, the clock."""
