"""Calibration: plan, build, measure, fit, error card."""
