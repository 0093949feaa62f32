"""Approvals, and a ledger of what was opened by them. Nothing is sent here."""

from party.approval.approval import Approval, approval_file, moment, salt_file, write_approval
from party.approval.envelope import Envelope, public_digest, read_private_key
from party.approval.ledger import Ledger
from party.approval.permit import Permit, permitted, see_to_rest

__all__ = [
    "Approval",
    "Envelope",
    "Ledger",
    "Permit",
    "approval_file",
    "moment",
    "permitted",
    "public_digest",
    "read_private_key",
    "salt_file",
    "see_to_rest",
    "write_approval",
]
