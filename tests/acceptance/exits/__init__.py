"""Code that calls sys.exit, with real workers."""
