//! What the tests share: namespaces of their own, the daemon under test, packets.
