"""bullpen's engine: pools of Claude Agent SDK clients, and everything that keeps them in order.

This is the wall: the dashboard, the gateway and the command line use the names below and nothing else of this
package. Names are imported on first use, so that the first paint of a screen does not wait for what it does not need.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from supervisor.characters import FORBIDDEN as FORBIDDEN
    from supervisor.characters import SELECTORS as SELECTORS
    from supervisor.characters import TONES as TONES
    from supervisor.characters import is_mark as is_mark
    from supervisor.cleaning import clean as clean
    from supervisor.cleaning import find_unseen as find_unseen
    from supervisor.cleaning import flatten_marks as flatten_marks
    from supervisor.cleaning import name_unseen as name_unseen
    from supervisor.cleaning import one_line as one_line
    from supervisor.cleaning import reveal as reveal
    from supervisor.cleaning import reveal_line as reveal_line
    from supervisor.cleaning import show_name as show_name
    from supervisor.conversation import Asked as Asked
    from supervisor.conversation import Conversation as Conversation
    from supervisor.conversation import Cursor as Cursor
    from supervisor.conversation import Entry as Entry
    from supervisor.conversation import Glimpse as Glimpse
    from supervisor.conversation import Noticed as Noticed
    from supervisor.conversation import QuestionClosed as QuestionClosed
    from supervisor.conversation import QuestionPosed as QuestionPosed
    from supervisor.conversation import Reading as Reading
    from supervisor.conversation import Replied as Replied
    from supervisor.conversation import StartsAgain as StartsAgain
    from supervisor.conversation import ToolCalled as ToolCalled
    from supervisor.conversation import ToolReturned as ToolReturned
    from supervisor.conversation import TurnEnded as TurnEnded
    from supervisor.credentials import find_credentials as find_credentials
    from supervisor.doctor import Finding as Finding
    from supervisor.doctor import examine as examine
    from supervisor.errors import AcceptanceUnknown as AcceptanceUnknown
    from supervisor.errors import AlreadyAnswered as AlreadyAnswered
    from supervisor.errors import BullpenError as BullpenError
    from supervisor.errors import ConfigurationError as ConfigurationError
    from supervisor.errors import ConnectFailed as ConnectFailed
    from supervisor.errors import InvalidId as InvalidId
    from supervisor.errors import InvalidPrompt as InvalidPrompt
    from supervisor.errors import JournalFailed as JournalFailed
    from supervisor.errors import JournalUnusable as JournalUnusable
    from supervisor.errors import NotAccepting as NotAccepting
    from supervisor.errors import NotRecorded as NotRecorded
    from supervisor.errors import OutcomeUnknown as OutcomeUnknown
    from supervisor.errors import Refused as Refused
    from supervisor.errors import Saturated as Saturated
    from supervisor.errors import StateInUse as StateInUse
    from supervisor.errors import Suspended as Suspended
    from supervisor.errors import UnknownAgent as UnknownAgent
    from supervisor.errors import UnknownTarget as UnknownTarget
    from supervisor.errors import one_sentence as one_sentence
    from supervisor.events import ActionTaken as ActionTaken
    from supervisor.events import ApprovalLost as ApprovalLost
    from supervisor.events import ClientEnding as ClientEnding
    from supervisor.events import ClientFailed as ClientFailed
    from supervisor.events import ClientGone as ClientGone
    from supervisor.events import ClientStarted as ClientStarted
    from supervisor.events import ContextLost as ContextLost
    from supervisor.events import EngineFailed as EngineFailed
    from supervisor.events import Event as Event
    from supervisor.events import InstanceChanged as InstanceChanged
    from supervisor.events import OfferSettled as OfferSettled
    from supervisor.events import QuestionAsked as QuestionAsked
    from supervisor.events import QuestionSettled as QuestionSettled
    from supervisor.events import RecordLost as RecordLost
    from supervisor.events import Restarted as Restarted
    from supervisor.events import SessionClosed as SessionClosed
    from supervisor.events import SessionOpened as SessionOpened
    from supervisor.events import TurnFinished as TurnFinished
    from supervisor.events import TurnPutBack as TurnPutBack
    from supervisor.events import TurnQueued as TurnQueued
    from supervisor.events import TurnStarted as TurnStarted
    from supervisor.events import TurnSuspended as TurnSuspended
    from supervisor.feed import Changes as Changes
    from supervisor.feed import Subscription as Subscription
    from supervisor.forgetting import Forgotten as Forgotten
    from supervisor.forgetting import forget_user as forget_user
    from supervisor.ids import validate_id as validate_id
    from supervisor.interface import Engine as Engine
    from supervisor.interface import Ticket as Ticket
    from supervisor.model import Allow as Allow
    from supervisor.model import Answer as Answer
    from supervisor.model import Archetype as Archetype
    from supervisor.model import Cancelled as Cancelled
    from supervisor.model import ChoiceItem as ChoiceItem
    from supervisor.model import Choose as Choose
    from supervisor.model import Deny as Deny
    from supervisor.model import Done as Done
    from supervisor.model import Expired as Expired
    from supervisor.model import Failed as Failed
    from supervisor.model import FailureKind as FailureKind
    from supervisor.model import InstanceState as InstanceState
    from supervisor.model import Interrupted as Interrupted
    from supervisor.model import MemoryLevel as MemoryLevel
    from supervisor.model import Offer as Offer
    from supervisor.model import Outcome as Outcome
    from supervisor.model import Priority as Priority
    from supervisor.model import Prompt as Prompt
    from supervisor.model import Question as Question
    from supervisor.model import QuestionKind as QuestionKind
    from supervisor.model import QuestionOutcome as QuestionOutcome
    from supervisor.model import Server as Server
    from supervisor.model import ServerState as ServerState
    from supervisor.model import SessionKey as SessionKey
    from supervisor.model import SessionState as SessionState
    from supervisor.model import SlotState as SlotState
    from supervisor.model import Source as Source
    from supervisor.model import Usage as Usage
    from supervisor.model import WhyWaiting as WhyWaiting
    from supervisor.model import outcome_word as outcome_word
    from supervisor.pace import pace_interpreter as pace_interpreter
    from supervisor.private import make_private_dir as make_private_dir
    from supervisor.rehearsal import Rehearsal as Rehearsal
    from supervisor.rehearsal import play as play
    from supervisor.rehearsal import stand_in as stand_in
    from supervisor.settings import Loaded as Loaded
    from supervisor.settings import Settings as Settings
    from supervisor.settings import load_for as load_for
    from supervisor.settings import load_settings as load_settings
    from supervisor.settings import templates_for as templates_for
    from supervisor.snapshot import ClientRow as ClientRow
    from supervisor.snapshot import HostRow as HostRow
    from supervisor.snapshot import InstanceRow as InstanceRow
    from supervisor.snapshot import PoolStatistics as PoolStatistics
    from supervisor.snapshot import SessionRow as SessionRow
    from supervisor.snapshot import Snapshot as Snapshot
    from supervisor.snapshot import WaitingTurn as WaitingTurn
    from supervisor.supervisor import Supervisor as Supervisor
    from supervisor.templates import Template as Template
    from supervisor.templates import shipped_templates as shipped_templates
    from supervisor.urls import bare_host as bare_host
    from supervisor.walls import describe_walls as describe_walls
    from supervisor.walls import missing_skills as missing_skills

__version__ = "0.1.0"

_HOMES = {
    "characters": "FORBIDDEN SELECTORS TONES is_mark",
    "cleaning": "clean find_unseen flatten_marks name_unseen one_line reveal reveal_line show_name",
    "conversation": "Asked Conversation Cursor Entry Glimpse Noticed QuestionClosed QuestionPosed Reading Replied "
    "StartsAgain ToolCalled ToolReturned TurnEnded",
    "credentials": "find_credentials",
    "doctor": "Finding examine",
    "errors": "AcceptanceUnknown AlreadyAnswered BullpenError ConfigurationError ConnectFailed InvalidId InvalidPrompt "
    "JournalFailed JournalUnusable NotAccepting NotRecorded OutcomeUnknown Refused Saturated StateInUse Suspended "
    "UnknownAgent UnknownTarget one_sentence",
    "events": "ActionTaken ApprovalLost ClientEnding ClientFailed ClientGone ClientStarted ContextLost "
    "EngineFailed Event InstanceChanged OfferSettled QuestionAsked QuestionSettled RecordLost Restarted "
    "SessionClosed SessionOpened TurnFinished TurnPutBack TurnQueued TurnStarted TurnSuspended",
    "feed": "Changes Subscription",
    "forgetting": "Forgotten forget_user",
    "ids": "validate_id",
    "interface": "Engine Ticket",
    "model": "Allow Answer Archetype Cancelled ChoiceItem Choose Deny Done Expired Failed FailureKind InstanceState "
    "Interrupted MemoryLevel Offer Outcome Priority Prompt Question QuestionKind QuestionOutcome Server ServerState "
    "SessionKey SessionState SlotState Source Usage WhyWaiting outcome_word",
    "pace": "pace_interpreter",
    "private": "make_private_dir",
    "rehearsal": "Rehearsal play stand_in",
    "settings": "Loaded Settings load_for load_settings templates_for",
    "snapshot": "ClientRow HostRow InstanceRow PoolStatistics SessionRow Snapshot WaitingTurn",
    "supervisor": "Supervisor",
    "templates": "Template shipped_templates",
    "urls": "bare_host",
    "walls": "describe_walls missing_skills",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if (home := _HOME_OF.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
