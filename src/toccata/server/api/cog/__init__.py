"""The API of a Cog container, at the root."""
