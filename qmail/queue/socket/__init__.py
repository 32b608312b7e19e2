"""The queue's Unix socket, in place of the program qmail-queue(8): what goes over it, and both its ends."""
