"""Accounts (users/assign), acting as one of them, what a password costs."""
