"""The bus (NATS JetStream) as the roles use it, behind one interface."""
