"""Bytes become a verified release here, or one TrustError. No sockets; owner of tuf and nacl."""
