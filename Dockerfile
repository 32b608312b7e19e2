# One build, a target per role: a target holds its role, the shared library and its own dependencies, no more.
# Base images are build arguments, so that a release can give digests and a mirror its own names.
ARG DEBIAN_IMAGE=debian:trixie-slim
ARG COREDNS_IMAGE=coredns/coredns:1.15.0
ARG NATS_IMAGE=nats:2.15.1-alpine
