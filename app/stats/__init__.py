"""`leverloop stats`: the statistics of a group's subsets, from a worker's tables or from a replay; read-only."""
