"""What the tests stand on. Nothing is imported here: worker processes load `effects` alone."""
