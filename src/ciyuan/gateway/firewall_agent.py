"""What an agent may do under a key: which tools it may be offered and call, and which hosts its calls may name.

    tool_uses(body) ──▶ ToolUse: name, arguments, offered or called ──▶ agent_verdict(policy, use) ──▶ AgentVerdict

Names and hosts are judged by patterns in which `*` stands for anything (`mail_*`, `*.example.com`). What is denied is denied,
whatever is allowed; where there is a list of what is allowed, nothing else is. Hosts inside (private addresses, cloud
metadata, `localhost`) are denied unless a list names them. The order of AgentVerdict is its precedence.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum, auto
from functools import cache

from ciyuan.gateway.firewall_hosts import UNREADABLE_HOST, canonical_host, hosts_in, is_private
from ciyuan.gateway.firewall_rules import Refusal

DEPTH_MAX = 64
_CALLS = (
    "tool_use server_tool_use mcp_tool_use function_call custom_tool_call mcp_call web_search_call computer_call shell_call "
    "local_shell_call code_interpreter_call file_search_call image_generation_call apply_patch_call"
)
_CALL_TYPES = frozenset(_CALLS.split())
_ARGUMENTS = ("arguments", "input", "action", "queries", "code", "operation")
_HOST_KEYS = re.compile(
    r"(?:.*[_-])?(?:host|hostname|domain|server|endpoint|address|addr|ip|url|uri|base_url|origin|site)s?"
)
_NAME_AND_PORT = re.compile(r"[^\s/:@]{1,253}(?::[0-9]{1,5})?")


class AgentVerdict(IntEnum):
    """Whether a tool may be used so."""

    ALLOWED = 0
    TOOL_DENIED = auto()
    TOOL_NOT_LISTED = auto()
    TOO_DEEP = auto()
    DESTINATION_DENIED = auto()
    DESTINATION_UNREADABLE = auto()
    DESTINATION_PRIVATE = auto()
    DESTINATION_NOT_LISTED = auto()


@dataclass(frozen=True, slots=True)
class AgentPolicy:
    """What a key's agents may do. An allowed list that is None allows all that is not denied."""

    tools_allowed: tuple[str, ...] | None = None
    tools_denied: tuple[str, ...] = ()
    hosts_allowed: tuple[str, ...] | None = None
    hosts_denied: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool that a body offers, or a call of one. `arguments` is all that it is called or set up with, as JSON or text."""

    name: str
    arguments: str
    offered: bool


@dataclass(frozen=True, slots=True)
class Overreach:
    """A use that is not allowed: the tool, why, and the host if it is one."""

    tool: str
    verdict: AgentVerdict
    host: str = ""

    @property
    def refusal(self) -> Refusal:
        """The refusal of a body that holds it."""
        return (
            Refusal.TOOL_DENIED
            if self.verdict < AgentVerdict.DESTINATION_DENIED
            else Refusal.DESTINATION_DENIED
        )


def tool_uses(body: object) -> Iterator[ToolUse]:
    """Every tool that a request or an answer offers or calls, in OpenAI's and Anthropic's forms."""
    yield from _uses(body, 0)


def _uses(value: object, depth: int) -> Iterator[ToolUse]:
    if depth >= DEPTH_MAX:
        if isinstance(value, dict | list) and value:
            yield ToolUse("*", "", offered=False)
    elif isinstance(value, list):
        for item in value:
            yield from _uses(item, depth + 1)
    elif isinstance(value, dict):
        yield from _offered(value)
        call = _call(value)
        if call:
            yield call
        for key, item in value.items():
            if key not in {"tools", "functions", "mcp_servers"}:
                yield from _uses(item, depth + 1)


def _offered(value: Mapping[str, object]) -> Iterator[ToolUse]:
    for key in ("tools", "functions", "mcp_servers"):
        listed = value.get(key)
        for tool in listed if isinstance(listed, list) else ():
            if isinstance(tool, dict):
                inner = next(
                    (part for part in (tool.get("function"), tool.get("custom")) if isinstance(part, dict)),
                    tool,
                )
                name = inner.get("name") or tool.get("server_label") or tool.get("type") or ""
                where = {key: tool[key] for key in ("server_url", "url", "connector_id") if key in tool}
                yield ToolUse(str(name), json.dumps(where, ensure_ascii=False) if where else "", offered=True)


def _call(value: Mapping[str, object]) -> ToolUse | None:
    """The call that an object is, if it is one."""
    for wrapper in ("function", "custom", "function_call"):
        inner = value.get(wrapper)
        if isinstance(inner, dict) and "name" in inner and any(key in inner for key in _ARGUMENTS):
            return ToolUse(str(inner["name"]), _arguments(inner), offered=False)
    kind = value.get("type")
    if isinstance(kind, str) and kind in _CALL_TYPES:
        return ToolUse(str(value.get("name") or kind), _arguments(value), offered=False)
    return None


def _arguments(value: Mapping[str, object]) -> str:
    given = [value[key] for key in _ARGUMENTS if key in value]
    return "\n".join(
        item if isinstance(item, str) else json.dumps(item, ensure_ascii=False) for item in given
    )


def overreach(policy: AgentPolicy, body: object) -> tuple[Overreach, ...]:
    """Every use in a body that the policy does not allow, worst first."""
    found = [agent_verdict(policy, use) for use in tool_uses(body)]
    return tuple(
        sorted((one for one in found if one.verdict), key=lambda one: (one.verdict, one.tool, one.host))
    )


def agent_verdict(policy: AgentPolicy, use: ToolUse) -> Overreach:
    """Whether a use is allowed: its tool first, then every host that it names; the worst of them is said."""
    if use.name == "*":
        return Overreach(use.name, AgentVerdict.TOO_DEEP)
    if _listed(policy.tools_denied, use.name):
        return Overreach(use.name, AgentVerdict.TOOL_DENIED)
    if policy.tools_allowed is not None and not _listed(policy.tools_allowed, use.name):
        return Overreach(use.name, AgentVerdict.TOOL_NOT_LISTED)
    judged = [(host_verdict(policy, host), host) for host in destinations(use.arguments)]
    verdict, host = min((one for one in judged if one[0]), default=(AgentVerdict.ALLOWED, ""))
    return Overreach(use.name, verdict, host)


def host_verdict(policy: AgentPolicy, host: str) -> AgentVerdict:
    """Whether a canonical host may be named."""
    if _listed(policy.hosts_denied, host):
        return AgentVerdict.DESTINATION_DENIED
    if host == UNREADABLE_HOST:
        return AgentVerdict.DESTINATION_UNREADABLE
    if policy.hosts_allowed is not None and _listed(policy.hosts_allowed, host):
        return AgentVerdict.ALLOWED
    if is_private(host):
        return AgentVerdict.DESTINATION_PRIVATE
    return AgentVerdict.ALLOWED if policy.hosts_allowed is None else AgentVerdict.DESTINATION_NOT_LISTED


def destinations(arguments: str) -> tuple[str, ...]:
    """Every host that a call's arguments name: in any text, and as the value of a key that is for one."""
    found = set(hosts_in(arguments))
    with suppress(ValueError, RecursionError):
        found.update(_keyed_hosts(json.loads(arguments), 0))
    return tuple(sorted(found))


def _keyed_hosts(value: object, depth: int) -> Iterator[str]:
    """The values of keys like `host` that are one name: they need no scheme to be destinations."""
    if depth > DEPTH_MAX:
        yield UNREADABLE_HOST
    elif isinstance(value, list):
        for item in value:
            yield from _keyed_hosts(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(item, str):
                yield from _keyed_hosts(item, depth + 1)
            elif _HOST_KEYS.fullmatch(key.lower()) and _NAME_AND_PORT.fullmatch(item):
                yield canonical_host(item.partition(":")[0])


def _listed(patterns: tuple[str, ...], name: str) -> bool:
    return any(_glob(pattern).fullmatch(name.lower()) for pattern in patterns)


@cache
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in pattern.lower().split("*")), re.DOTALL)
