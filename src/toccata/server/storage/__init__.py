"""What outlives the process: rows in the database, bytes in the storage."""
