"""Rooms: one module a kind, each a pure planner and a value that names what it watches."""
