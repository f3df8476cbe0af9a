"""Messages with hard limits; bytes in, values out. No sockets, no clock. Owner of msgpack."""
