"""HighwayHash-64 (https://arxiv.org/abs/1612.06257), by which nats-server knows a damaged record; slow, for rescues."""

from __future__ import annotations

import struct

_INIT_0 = (0xDBE6D5D5FE4CCE2F, 0xA4093822299F31D0, 0x13198A2E03707344, 0x243F6A8885A308D3)
_INIT_1 = (0x3BD39E10CB0EF593, 0xC0ACF169B5F18A8C, 0xBE5466CF34E90C6C, 0x452821E638D01377)
_64 = (1 << 64) - 1
_32 = (1 << 32) - 1
_LANES = struct.Struct("<4Q")


def highwayhash(key: bytes, data: bytes) -> int:
    """key: 32 bytes."""
    state = _State(_LANES.unpack(key))
    whole = len(data) - len(data) % 32
    for at in range(0, whole, 32):
        state.update(_LANES.unpack_from(data, at))
    if len(data) > whole:
        state.last(data[whole:])
    return state.finish()


def _swap(value: int) -> int:
    return (value >> 32) | (value << 32) & _64


def _zipper(v1: int, v0: int) -> tuple[int, int]:
    """The two words to add (the paper's ZipperMergeAndAdd)."""
    add_0 = (
        (((v0 & 0xFF000000) | (v1 & 0xFF00000000)) >> 24)
        | (((v0 & 0xFF0000000000) | (v1 & 0xFF000000000000)) >> 16)
        | (v0 & 0xFF0000)
        | ((v0 & 0xFF00) << 32)
        | ((v1 & 0xFF00000000000000) >> 8)
        | ((v0 << 56) & _64)
    )
    add_1 = (
        (((v1 & 0xFF000000) | (v0 & 0xFF00000000)) >> 24)
        | (v1 & 0xFF0000)
        | ((v1 & 0xFF0000000000) >> 16)
        | ((v1 & 0xFF00) << 24)
        | ((v0 & 0xFF000000000000) >> 8)
        | ((v1 & 0xFF) << 48)
        | (v0 & 0xFF00000000000000)
    )
    return add_0, add_1


class _State:
    def __init__(self, key: tuple[int, ...]) -> None:
        self.mul_0, self.mul_1 = list(_INIT_0), list(_INIT_1)
        self.v0 = [a ^ b for a, b in zip(_INIT_0, key, strict=True)]
        self.v1 = [a ^ _swap(b) for a, b in zip(_INIT_1, key, strict=True)]

    def update(self, lanes: tuple[int, ...]) -> None:
        v0, v1, mul_0, mul_1 = self.v0, self.v1, self.mul_0, self.mul_1
        for i in range(4):
            v1[i] = (v1[i] + mul_0[i] + lanes[i]) & _64
            mul_0[i] ^= (v1[i] & _32) * (v0[i] >> 32)
            v0[i] = (v0[i] + mul_1[i]) & _64
            mul_1[i] ^= (v0[i] & _32) * (v1[i] >> 32)
        for into, out in ((v0, v1), (v1, v0)):
            for i in (0, 2):
                add_0, add_1 = _zipper(out[i + 1], out[i])
                into[i] = (into[i] + add_0) & _64
                into[i + 1] = (into[i + 1] + add_1) & _64

    def last(self, rest: bytes) -> None:
        """The bytes after the last whole packet."""
        size = len(rest)
        for i in range(4):
            self.v0[i] = (self.v0[i] + (size << 32) + size) & _64
            low, high = self.v1[i] & _32, self.v1[i] >> 32
            turned = [(half << size | half >> (32 - size)) & _32 for half in (low, high)]
            self.v1[i] = turned[0] | turned[1] << 32
        packet, tail, odd = bytearray(32), rest[size & ~3 :], size & 3
        packet[: size & ~3] = rest[: size & ~3]
        if size & 16:
            packet[28:32] = rest[size - 4 :]
        elif odd:
            packet[16:19] = bytes((tail[0], tail[odd >> 1], tail[odd - 1]))
        self.update(_LANES.unpack(bytes(packet)))

    def finish(self) -> int:
        for _ in range(4):
            self.update(tuple(_swap(self.v0[i]) for i in (2, 3, 0, 1)))
        return (self.v0[0] + self.v1[0] + self.mul_0[0] + self.mul_1[0]) & _64
