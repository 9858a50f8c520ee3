"""How an `async def` task is awaited by a thread that is not async."""
