"""Usage tables: periods, buckets, dialogue shares, aggregation, labels."""
