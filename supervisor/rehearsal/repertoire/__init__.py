"""The colleagues of the rehearsal, and how a prompt finds the right one."""

from __future__ import annotations

from supervisor.rehearsal.repertoire.admin import ADMIN
from supervisor.rehearsal.repertoire.clerk import CLERK
from supervisor.rehearsal.repertoire.helpdesk import HELPDESK
from supervisor.rehearsal.repertoire.lookup import LOOKUP
from supervisor.rehearsal.repertoire.topic import Role, Topic

ROLES = (HELPDESK, ADMIN, CLERK, LOOKUP)


def role_for(system: str, words: tuple[str, ...]) -> Role:
    """The role whose signs come most often in the system prompt; without any, the one that knows the words asked."""
    lowered = system.lower()
    signs = {role.name: sum(lowered.count(sign) for sign in role.signs) for role in ROLES}
    knows = {role.name: sum(score(topic, words) for topic in role.topics) for role in ROLES}
    return max(ROLES, key=lambda role: (signs[role.name], knows[role.name]))


def topic_for(role: Role, words: tuple[str, ...]) -> Topic:
    """The topic that shares most words with the prompt, else the role's answer to anything."""
    best = max(role.topics, key=lambda topic: score(topic, words))
    return best if score(best, words) else role.otherwise


def score(topic: Topic, words: tuple[str, ...]) -> int:
    return sum(word in topic.keywords for word in words)
