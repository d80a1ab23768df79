"""Keyword spotting: speech data, MFCC, architectures and their training."""
