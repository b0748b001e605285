"""The HTTP layer: the routes of each API, authentication, limits and middleware."""
