"""The record as a probe reads it, and test calls beside what the record holds of them."""
