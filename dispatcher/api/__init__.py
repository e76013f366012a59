"""What programs call, under /api/v1. A route parses, calls the function that the command line calls, answers."""
