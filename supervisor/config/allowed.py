"""`allow` of a template: tools of its own that run without a question, in every permission mode."""

from __future__ import annotations

from collections.abc import Iterator

from supervisor.config.template import FrontMatter, Template
from supervisor.config.tool_functions import read_functions
from supervisor.config.tool_references import SERVER, is_reference
from supervisor.config.validation import nearest
from supervisor.permissions.server_tools import PREFIX, is_of_server, spelled
from supervisor.text.values import in_words


def find_mistakes(template: FrontMatter) -> Iterator[str]:
    """Sentences that follow the key."""
    servers = [*map(spelled, template.mcp_servers), *([SERVER] if template.functions else [])]
    for word in template.allow:
        if sentence := _mistake(word, template.functions, servers):
            yield f"names {in_words(word)}, {sentence}"


def _mistake(word: str, functions: tuple[str, ...], servers: list[str]) -> str:
    if is_reference(word):
        near = nearest(word, dict.fromkeys(functions))
        hint = f"; did you mean {near}?" if near else ""
        return "" if word in functions else f"a function that tools does not name{hint}"
    if not is_of_server(word) or "(" in word:
        return "which is neither a function nor a tool of an MCP server: permissionMode says when others are asked for"
    bare = _bare(word)
    if "*" in bare or bare != spelled(bare):
        return f"which names no tool: {PREFIX}SERVER is all of a server, {PREFIX}SERVER__TOOL one"
    owners = [name for name in servers if bare == name or bare.startswith(f"{name}__")]
    if not owners:
        return f"a tool of no MCP server of this template; it has {', '.join(servers) or 'none'}"
    # The CLI takes a rule by how a tool's whole name begins.
    others = [name for name in servers if name != min(owners, key=len) and f"{name}__".startswith(f"{bare}__")]
    if others and bare not in others:
        return f"which would allow the server {others[0]} as well: name its tools one by one"
    return "" if len(owners) == 1 else f"which may be of the server {owners[0]} or {owners[1]}: rename one of them"


def _bare(word: str) -> str:
    """`time` of `mcp__time__*`."""
    return word.removeprefix(PREFIX).removesuffix("__*")


def allow_rules(template: Template) -> list[str]:
    """The template's `allow` as permission rules of the CLI. Reads the Python functions that are named; blocking."""
    named = [word for word in template.allow if is_reference(word)]
    functions = {one.reference: one.name for one in read_functions(named, template.path)[0]} if named else {}
    rules = [f"{PREFIX}{SERVER}__{functions[word]}" for word in named if word in functions]
    return sorted({*rules, *(f"{PREFIX}{_bare(word)}" for word in template.allow if is_of_server(word))})
