"""Schedules as rows."""
