"""Persistence: the database and the blob storage."""
