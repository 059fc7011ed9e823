"""What the gateway's benchmark is made of: the traffic, a supplier that plays it, the load, the peers, and the measuring."""
