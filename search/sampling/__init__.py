"""The samplers: hyperopt's TPE for several objectives, and a model of what training would give."""
