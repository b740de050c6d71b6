"""What an exchange took: tokens, time and money; pure."""
