"""What numbers in messages and files may be."""

from typing import Final

LARGEST: Final = (1 << 53) - 1
"""The greatest whole number in settings, requests, records and signed metadata: every reader of
JSON takes it as it is (RFC 8259, section 6)."""
