"""What a processor must do for a scheduled kernel, read off its loops."""
