"""The reference client: what an agent, a bot, a watcher or a test uses to talk to Tessera.

``connect`` for agents, ``spectate`` for those who watch. Everything here goes through the public
protocol and nothing else; no other part of the project speaks it for itself.
"""

from ops.client.account import Credentials, Refused, open_session, sign_up
from ops.client.agent import Agent, connect
from ops.client.commanding import Failed, Rejected
from ops.client.keyring import Keyring
from ops.client.link import SessionOver, Tap
from ops.client.spectator import SpectatorEvent, spectate
from ops.client.view import StreamBroken, View

__all__ = [
    "Agent",
    "Credentials",
    "Failed",
    "Keyring",
    "Refused",
    "Rejected",
    "SessionOver",
    "SpectatorEvent",
    "StreamBroken",
    "Tap",
    "View",
    "connect",
    "open_session",
    "sign_up",
    "spectate",
]
