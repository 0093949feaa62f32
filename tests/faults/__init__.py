"""Faults on the network and at the parties: whatever happens, nothing is lost and all ends."""
