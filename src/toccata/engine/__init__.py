"""The step loop that every surface shares: requests join and leave it at any step."""
