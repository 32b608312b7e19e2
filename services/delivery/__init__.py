"""Delivery: local (qmail-lspawn, qmail-local) and remote (qmail-rspawn, qmail-remote)."""
