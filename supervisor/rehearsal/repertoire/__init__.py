"""The colleagues of the rehearsal, and how a prompt finds the right one."""

from __future__ import annotations

from supervisor.rehearsal.repertoire.admin import ADMIN
from supervisor.rehearsal.repertoire.clerk import CLERK
from supervisor.rehearsal.repertoire.helpdesk import HELPDESK
from supervisor.rehearsal.repertoire.lookup import LOOKUP
from supervisor.rehearsal.repertoire.topic import Role, Topic

ROLES = (HELPDESK, ADMIN, CLERK, LOOKUP)


def role_for(system: str, words: tuple[str, ...]) -> Role:
    """The role whose sign comes first in the system prompt: an agent is told who it is before it is told of others.
    Without any sign, the one that knows the words asked."""
    lowered = system.lower()
    places = [(at, role) for role in ROLES for sign in role.signs if (at := lowered.find(sign)) >= 0]
    if places:
        return min(places, key=lambda place: place[0])[1]
    return max(ROLES, key=lambda role: sum(score(topic, words) for topic in role.topics))


def topic_for(role: Role, words: tuple[str, ...]) -> Topic:
    """The topic that shares most words with the prompt, else the role's answer to anything."""
    best = max(role.topics, key=lambda topic: score(topic, words))
    return best if score(best, words) else role.otherwise


def score(topic: Topic, words: tuple[str, ...]) -> int:
    return sum(word in topic.keywords for word in words)
