"""The parts of event_monitor. Nothing in here imports event_monitor.py."""
