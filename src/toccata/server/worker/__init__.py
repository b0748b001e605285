"""The worker process, which owns torch and the models, and how the server talks to it."""
