"""Canvas made durable: a chain, group or chord of existing tasks as one run."""
