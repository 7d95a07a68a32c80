"""Lanes: the records of one subscription in one partition, formed into batches and request bodies."""
