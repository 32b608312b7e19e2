"""Local delivery: what qmail-lspawn(8) and qmail-local(8) do, as the user whose mail it is."""
