//! SIP messages, parsed in place and written straight into the buffer that is sent (RFC 3261 §7, §25).
