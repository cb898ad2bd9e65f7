"""The history as Arrow tables and DataFrames: schema, decoding, filters, files."""
