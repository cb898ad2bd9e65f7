"""Prices, costs, the counter ledger, forecasts, official figures."""
