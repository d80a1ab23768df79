"""The subcommands of `ponas`, a module each."""
