"""A message's values: address, envelope, number, dates, the text that may be shown."""
