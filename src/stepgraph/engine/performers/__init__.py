"""What queue rows mean, one performer a file."""
