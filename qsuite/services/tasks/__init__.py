"""What jobs do: one module for each task, run in a worker process with a database connection of its own."""
