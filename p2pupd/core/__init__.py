"""Pure decisions: no I/O, no clock, no chance. Time and randomness are passed in."""
