"""Multi-objective search over any space, with any objectives, kept in one study file."""
