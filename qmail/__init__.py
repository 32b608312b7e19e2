"""What two roles or more need, in floors: a module knows its own floor and those below, and no role."""
