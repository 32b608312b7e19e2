"""users/assign and what belongs to an account: home, password, su."""
