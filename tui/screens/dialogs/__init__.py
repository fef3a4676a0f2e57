"""Modal screens, each typed by its answer.

The dashboard takes them from here, by the names below: each is imported when it is first opened, since the first frame
shows none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervisor import LateNames

if TYPE_CHECKING:
    from tui.screens.dialogs.broadcast import BroadcastScreen as BroadcastScreen
    from tui.screens.dialogs.confirm import ask_first as ask_first
    from tui.screens.dialogs.describe import DescribeScreen as DescribeScreen
    from tui.screens.dialogs.help import HelpScreen as HelpScreen
    from tui.screens.dialogs.listing import ListingScreen as ListingScreen
    from tui.screens.dialogs.new_chat import NewChatScreen as NewChatScreen
    from tui.screens.dialogs.quit import DetachScreen as DetachScreen
    from tui.screens.dialogs.quit import DrainingScreen as DrainingScreen
    from tui.screens.dialogs.quit import Leave as Leave
    from tui.screens.dialogs.quit import QuitScreen as QuitScreen
    from tui.screens.dialogs.scale import ScaleScreen as ScaleScreen
    from tui.screens.dialogs.whole_question import QuestionScreen as QuestionScreen


_LATE = LateNames(__name__)


def __getattr__(name: str) -> Any:
    return _LATE.get(name)
