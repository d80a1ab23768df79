"""Where candidates are trained: in this process, in processes beside it, on a Ray cluster."""
