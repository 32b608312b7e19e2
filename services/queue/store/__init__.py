"""What the queue keeps of the streams and in them: floors, records, removals, gaps. It knows no scheduler."""
