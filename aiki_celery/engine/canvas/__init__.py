"""A canvas as one run."""
