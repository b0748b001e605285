"""The HTTP server: Replicate's API and a Cog container's, in front of one engine."""
