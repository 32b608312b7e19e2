"""The bounce writer, a user of its own: reads bodies, writes bounces."""
