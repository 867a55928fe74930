"""What feeds decide without waiting for anything: made-up prices, when to try again, what is missing."""
