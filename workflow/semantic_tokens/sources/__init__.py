"""Files from outside: downloads, package archives, and the formats of both."""
