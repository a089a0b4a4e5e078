"""The Lua scripts that Redis runs for us: each one decision that must be atomic.

Each begins with what it does, its KEYS, its ARGV and its reply. No Python lives here.
"""
