"""bullpen's engine: pools of Claude Agent SDK clients, and everything that keeps them in order.

This is the wall: the dashboard, the gateway and the command line use the names below and nothing else of this
package. Names are imported on first use, so that the first paint of a screen does not wait for what it does not need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervisor._version import __version__ as __version__
from supervisor.late_names import LateNames as LateNames

if TYPE_CHECKING:
    from supervisor.api.actor import Actor as Actor
    from supervisor.api.actor import acting as acting
    from supervisor.api.addressing import find_key as find_key
    from supervisor.api.budgets import AtCeiling as AtCeiling
    from supervisor.api.budgets import Budget as Budget
    from supervisor.api.budgets import Measure as Measure
    from supervisor.api.budgets import Scope as Scope
    from supervisor.api.caches import CacheStatistics as CacheStatistics
    from supervisor.api.caches import ContextRow as ContextRow
    from supervisor.api.caches import Contexts as Contexts
    from supervisor.api.changes import Changes as Changes
    from supervisor.api.client_limit import ClientLimit as ClientLimit
    from supervisor.api.codec import pack as pack
    from supervisor.api.engine import ConversationReader as ConversationReader
    from supervisor.api.engine import Engine as Engine
    from supervisor.api.engine import FeedReader as FeedReader
    from supervisor.api.engine import Ticket as Ticket
    from supervisor.api.entries import Asked as Asked
    from supervisor.api.entries import Cursor as Cursor
    from supervisor.api.entries import Entry as Entry
    from supervisor.api.entries import Glimpse as Glimpse
    from supervisor.api.entries import Noticed as Noticed
    from supervisor.api.entries import QuestionClosed as QuestionClosed
    from supervisor.api.entries import QuestionPosed as QuestionPosed
    from supervisor.api.entries import Reading as Reading
    from supervisor.api.entries import Replied as Replied
    from supervisor.api.entries import StartsAgain as StartsAgain
    from supervisor.api.entries import ToolCalled as ToolCalled
    from supervisor.api.entries import ToolReturned as ToolReturned
    from supervisor.api.entries import TurnEnded as TurnEnded
    from supervisor.api.errors import AcceptanceUnknown as AcceptanceUnknown
    from supervisor.api.errors import AlreadyAnswered as AlreadyAnswered
    from supervisor.api.errors import BullpenError as BullpenError
    from supervisor.api.errors import ConfigurationError as ConfigurationError
    from supervisor.api.errors import ConnectFailed as ConnectFailed
    from supervisor.api.errors import InvalidId as InvalidId
    from supervisor.api.errors import InvalidPrompt as InvalidPrompt
    from supervisor.api.errors import JournalFailed as JournalFailed
    from supervisor.api.errors import JournalUnusable as JournalUnusable
    from supervisor.api.errors import NoAgentMatches as NoAgentMatches
    from supervisor.api.errors import NotAccepting as NotAccepting
    from supervisor.api.errors import NotRecorded as NotRecorded
    from supervisor.api.errors import OutcomeUnknown as OutcomeUnknown
    from supervisor.api.errors import OverBudget as OverBudget
    from supervisor.api.errors import OverShare as OverShare
    from supervisor.api.errors import Refused as Refused
    from supervisor.api.errors import RequestConflict as RequestConflict
    from supervisor.api.errors import Saturated as Saturated
    from supervisor.api.errors import StateInUse as StateInUse
    from supervisor.api.errors import Suspended as Suspended
    from supervisor.api.errors import UnknownAgent as UnknownAgent
    from supervisor.api.errors import UnknownTarget as UnknownTarget
    from supervisor.api.errors import one_sentence as one_sentence
    from supervisor.api.events import ActionTaken as ActionTaken
    from supervisor.api.events import ApprovalLost as ApprovalLost
    from supervisor.api.events import BudgetNeared as BudgetNeared
    from supervisor.api.events import ClientDormant as ClientDormant
    from supervisor.api.events import ClientEnding as ClientEnding
    from supervisor.api.events import ClientFailed as ClientFailed
    from supervisor.api.events import ClientGone as ClientGone
    from supervisor.api.events import ClientStarted as ClientStarted
    from supervisor.api.events import ClientWoken as ClientWoken
    from supervisor.api.events import ContextLost as ContextLost
    from supervisor.api.events import EngineFailed as EngineFailed
    from supervisor.api.events import Event as Event
    from supervisor.api.events import HookFailed as HookFailed
    from supervisor.api.events import InstanceChanged as InstanceChanged
    from supervisor.api.events import InstanceClosed as InstanceClosed
    from supervisor.api.events import InstanceOpened as InstanceOpened
    from supervisor.api.events import OfferSettled as OfferSettled
    from supervisor.api.events import ProviderParked as ProviderParked
    from supervisor.api.events import QuestionAsked as QuestionAsked
    from supervisor.api.events import QuestionSettled as QuestionSettled
    from supervisor.api.events import RecordLost as RecordLost
    from supervisor.api.events import Restarted as Restarted
    from supervisor.api.events import ScheduleDue as ScheduleDue
    from supervisor.api.events import SessionClosed as SessionClosed
    from supervisor.api.events import SessionOpened as SessionOpened
    from supervisor.api.events import TemplateBroken as TemplateBroken
    from supervisor.api.events import TemplateChanged as TemplateChanged
    from supervisor.api.events import TemplateMended as TemplateMended
    from supervisor.api.events import TemplateRolled as TemplateRolled
    from supervisor.api.events import TurnFinished as TurnFinished
    from supervisor.api.events import TurnPutBack as TurnPutBack
    from supervisor.api.events import TurnQueued as TurnQueued
    from supervisor.api.events import TurnStarted as TurnStarted
    from supervisor.api.events import TurnSuspended as TurnSuspended
    from supervisor.api.hook_rows import HookRow as HookRow
    from supervisor.api.hook_rows import HookRun as HookRun
    from supervisor.api.hook_rows import RunState as RunState
    from supervisor.api.hook_rows import ScheduleRow as ScheduleRow
    from supervisor.api.ids import new_id as new_id
    from supervisor.api.ids import validate_id as validate_id
    from supervisor.api.keys import SessionKey as SessionKey
    from supervisor.api.outcomes import Cancelled as Cancelled
    from supervisor.api.outcomes import Done as Done
    from supervisor.api.outcomes import Expired as Expired
    from supervisor.api.outcomes import Failed as Failed
    from supervisor.api.outcomes import FailureKind as FailureKind
    from supervisor.api.outcomes import Interrupted as Interrupted
    from supervisor.api.outcomes import Outcome as Outcome
    from supervisor.api.outcomes import Usage as Usage
    from supervisor.api.outcomes import outcome_word as outcome_word
    from supervisor.api.prompts import AUTO as AUTO
    from supervisor.api.prompts import Candidate as Candidate
    from supervisor.api.prompts import Priority as Priority
    from supervisor.api.prompts import Prompt as Prompt
    from supervisor.api.prompts import Route as Route
    from supervisor.api.prompts import Source as Source
    from supervisor.api.providers import ProviderRow as ProviderRow
    from supervisor.api.questions import Allow as Allow
    from supervisor.api.questions import Answer as Answer
    from supervisor.api.questions import ChoiceItem as ChoiceItem
    from supervisor.api.questions import Choose as Choose
    from supervisor.api.questions import Deny as Deny
    from supervisor.api.questions import Question as Question
    from supervisor.api.questions import QuestionKind as QuestionKind
    from supervisor.api.questions import QuestionOutcome as QuestionOutcome
    from supervisor.api.shared_servers import BreakerState as BreakerState
    from supervisor.api.shared_servers import SharedServerRow as SharedServerRow
    from supervisor.api.snapshot import ClientRow as ClientRow
    from supervisor.api.snapshot import HostRow as HostRow
    from supervisor.api.snapshot import InstanceRow as InstanceRow
    from supervisor.api.snapshot import Limit as Limit
    from supervisor.api.snapshot import PoolStatistics as PoolStatistics
    from supervisor.api.snapshot import SessionRow as SessionRow
    from supervisor.api.snapshot import Snapshot as Snapshot
    from supervisor.api.snapshot import WaitingTurn as WaitingTurn
    from supervisor.api.states import Archetype as Archetype
    from supervisor.api.states import InstanceState as InstanceState
    from supervisor.api.states import MemoryLevel as MemoryLevel
    from supervisor.api.states import Server as Server
    from supervisor.api.states import ServerState as ServerState
    from supervisor.api.states import SessionState as SessionState
    from supervisor.api.states import SlotState as SlotState
    from supervisor.api.states import WhyAwake as WhyAwake
    from supervisor.api.states import WhyWaiting as WhyWaiting
    from supervisor.api.tools import RunContext as RunContext
    from supervisor.api.tools import tool as tool
    from supervisor.api.turns import Offer as Offer
    from supervisor.api.turns import TurnState as TurnState
    from supervisor.api.turns import TurnView as TurnView
    from supervisor.claude.credentials import find_credentials as find_credentials
    from supervisor.config.agent_choice import choose_agent as choose_agent
    from supervisor.config.gateway import Address as Address
    from supervisor.config.gateway import parse_address as parse_address
    from supervisor.config.loading import Loaded as Loaded
    from supervisor.config.loading import count_declared as count_declared
    from supervisor.config.loading import load_for as load_for
    from supervisor.config.loading import load_host as load_host
    from supervisor.config.loading import templates_for as templates_for
    from supervisor.config.restrictions import describe_walls as describe_walls
    from supervisor.config.restrictions import missing_skills as missing_skills
    from supervisor.config.settings import Settings as Settings
    from supervisor.config.settings import load_settings as load_settings
    from supervisor.config.template_folder import shipped_templates as shipped_templates
    from supervisor.config.templates import Template as Template
    from supervisor.config.validation import describe_value as describe_value
    from supervisor.config.validation import nearest as nearest
    from supervisor.engine.doctor import Finding as Finding
    from supervisor.engine.doctor import examine as examine
    from supervisor.engine.expected import expect_rows as expect_rows
    from supervisor.engine.interpreter import pace_interpreter as pace_interpreter
    from supervisor.engine.supervisor import Supervisor as Supervisor
    from supervisor.files.private import make_private_dir as make_private_dir
    from supervisor.files.private_file import read_private as read_private
    from supervisor.files.private_file import write_private as write_private
    from supervisor.files.socket_path import SOCKET as SOCKET
    from supervisor.files.socket_path import short_path as short_path
    from supervisor.gateway.door import Door as Door
    from supervisor.gateway.tokens import Role as Role
    from supervisor.gateway.tokens import Token as Token
    from supervisor.gateway.tokens import TokenFile as TokenFile
    from supervisor.late_imports import import_late as import_late
    from supervisor.recovery.forgetting import Forgotten as Forgotten
    from supervisor.recovery.forgetting import forget_user as forget_user
    from supervisor.rehearsal import Rehearsal as Rehearsal
    from supervisor.rehearsal import play as play
    from supervisor.rehearsal import stand_in as stand_in
    from supervisor.remote.engine import RemoteEngine as RemoteEngine
    from supervisor.remote.line import NotReached as NotReached
    from supervisor.remote.line import check_url as check_url
    from supervisor.text.characters import FORBIDDEN as FORBIDDEN
    from supervisor.text.characters import SELECTORS as SELECTORS
    from supervisor.text.characters import TONES as TONES
    from supervisor.text.characters import is_mark as is_mark
    from supervisor.text.cleaning import clean as clean
    from supervisor.text.cleaning import find_unseen as find_unseen
    from supervisor.text.cleaning import flatten_marks as flatten_marks
    from supervisor.text.cleaning import name_unseen as name_unseen
    from supervisor.text.cleaning import one_line as one_line
    from supervisor.text.cleaning import reveal as reveal
    from supervisor.text.cleaning import reveal_line as reveal_line
    from supervisor.text.cleaning import show_name as show_name
    from supervisor.text.urls import bare_host as bare_host


_LATE = LateNames(__name__)

__all__ = sorted([*_LATE.homes, "load"])


async def load(name: str) -> Any:
    """A public name of this package, with what it is made of: imported in a thread while the loop goes on."""
    from supervisor.late_imports import load_late

    return await load_late(__name__, name)


def __getattr__(name: str) -> Any:
    return _LATE.get(name)


def __dir__() -> list[str]:
    return __all__
