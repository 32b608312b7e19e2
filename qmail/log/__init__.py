"""What a role writes down: lines, refusals, and what stands until it is mended."""
