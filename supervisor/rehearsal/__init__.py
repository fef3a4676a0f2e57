"""Rehearsal: the real CLI against an embedded Messages endpoint whose words are scripted, and people to talk to it."""

from __future__ import annotations

from supervisor.rehearsal.callers import play
from supervisor.rehearsal.colleague import stand_in
from supervisor.rehearsal.endpoint import Rehearsal
from supervisor.rehearsal.reply import Cut, Refuse, Stall
from supervisor.rehearsal.request import Request

__all__ = ["Cut", "Refuse", "Rehearsal", "Request", "Stall", "play", "stand_in"]
