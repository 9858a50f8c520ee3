"""Control of runs, with real workers."""
