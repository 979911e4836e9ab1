"""How work runs on this machine: devices, memory, threads. It imports nothing here."""
