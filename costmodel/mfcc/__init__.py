"""Features of sound on a device: MFCC as a kernel beside those of the network."""
