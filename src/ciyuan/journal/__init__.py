"""The journal: what happened, in order, each batch sealed to the one before. This module gives its messages only.

Bytes and rows in, rows and bytes out; the files are `ciyuan.services.store`'s.
"""

from ciyuan.journal.messages import DamagedSnapshot, Position, Recovery, Snapshot, TornTail

__all__ = ["DamagedSnapshot", "Position", "Recovery", "Snapshot", "TornTail"]
