"""What the rest stands on: processes, streams of random numbers, memory, stopping, time, errors."""
