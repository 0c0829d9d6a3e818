"""The full-screen view of a running context: a follower on a thread, and what it shows."""
