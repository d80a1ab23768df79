"""What would spoil a measurement on a device, and how to mend it."""
