"""Networks trained on real data that label images or represent them. May import `engine` and what is below."""
