"""What HTTP asks and gets: the routes of each API, and what stands before them."""
