"""A whole market from one seed: the world, its crowd, its clock and its auditor. See `ciyuan.simulation.month.Month`."""
