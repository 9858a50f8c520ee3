"""What Aiki costs, beside the bare driver and beside DBOS, measured in one run."""
