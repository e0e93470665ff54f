"""What models there are, what they need, which one to take, and how to fetch it."""
