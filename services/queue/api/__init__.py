"""What an administrator asks over HTTP."""
