"""Whose mailbox a local delivery is for."""

from __future__ import annotations

from qmail.accounts.assign import Accounts, AssignError
from qmail.message.address import Address
from services.queue.decide.shares import itself

ALIAS = b"alias"


def account_of(accounts: Accounts, address: Address) -> bytes:
    """The name of the account that a local delivery is for, as qmail-lspawn finds it: by users/assign, else alias's.

    Where that cannot be read, the address stands for itself."""
    try:
        match = accounts.find(address.local)
    except (AssignError, OSError):
        return itself(address)
    return ALIAS if match is None else match.account.name
