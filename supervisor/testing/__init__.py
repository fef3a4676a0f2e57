"""The shipped fake: agents without processes, for tests and for loads that real processes cannot reach."""

from __future__ import annotations

from supervisor.testing.fake import FakeConnection as FakeConnection
from supervisor.testing.fake import FakeConnector as FakeConnector
from supervisor.testing.fake import FakeTree as FakeTree
from supervisor.testing.fake import FakeWorld as FakeWorld
from supervisor.testing.fake import OnPrompt as OnPrompt
from supervisor.testing.fake import Written as Written
from supervisor.testing.fake import answer_at_once as answer_at_once
from supervisor.testing.fake import compact_at_once as compact_at_once
from supervisor.testing.fake import hold as hold
