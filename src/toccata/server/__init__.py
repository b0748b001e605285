"""The HTTP server with the APIs of Replicate and of a Cog container."""
