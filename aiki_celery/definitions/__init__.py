"""What the user wrote: tasks, workflows, retry policies, and the types of their values."""
