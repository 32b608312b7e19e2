"""The ways to check a password, named as Courier names them in authmodulelist."""
