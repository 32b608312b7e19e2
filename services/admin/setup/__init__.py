"""The first start, the release, the certificate, the zones, the rights on the bus."""
