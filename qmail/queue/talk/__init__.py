"""What roles say to each other about places in the queue's records (qmail.bus.talk has the other conversations)."""
