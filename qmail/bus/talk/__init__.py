"""What the roles say to each other, a room for each conversation: both ends, its subjects and its time limit."""
