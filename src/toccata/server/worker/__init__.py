"""The worker process, which owns torch and the models, and its connection to the server."""
