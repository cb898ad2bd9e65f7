"""The local history: Parquet partitions, checkpoints, merges, tombstones."""
