"""Cuts, full and failing disks, peers that do not read: what was acknowledged is there, whole, clean and once."""
