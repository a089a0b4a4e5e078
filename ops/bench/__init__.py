"""Measuring Tessera against real servers, in processes other than the one that measures.

``world`` is the engine's: shards, journal, and the way of a command. Each case prepares a world,
lets it run, and says what it found; nothing here is needed by a gateway or a shard.
"""
