"""What the tests of child processes start instead of a receiver."""
