"""The rows of `hosts`, one module for each kind of host.

Where a plain `def` runs was read in the source of the hosts around agents (chat and UI frameworks, the agent
frameworks' own tools, MCP, aiohttp, Litestar and others); for the rest it is what their documentation says, and
`python -m turnlane.checker.libraries.verify` checks the names only. A comment stands where it
surprises or depends.
"""

from __future__ import annotations

from turnlane.checker.libraries.host_tables import chat, interfaces, jobs, programs, tools, web
from turnlane.checker.libraries.registration import Registration

REGISTRATIONS: tuple[Registration, ...] = (
    *web.ROWS,
    *interfaces.ROWS,
    *jobs.ROWS,
    *chat.ROWS,
    *tools.ROWS,
    *programs.ROWS,
)

ALIASES = {
    # Other names that user code imports the same class or function by.
    "fastapi.applications.FastAPI": "fastapi.FastAPI",
    "fastapi.routing.APIRouter": "fastapi.APIRouter",
    "fastapi.background.BackgroundTasks": "fastapi.BackgroundTasks",
    "fastapi.param_functions.Depends": "fastapi.Depends",
    "flask.app.Flask": "flask.Flask",
    "flask.blueprints.Blueprint": "flask.Blueprint",
    "quart.app.Quart": "quart.Quart",
    "django.core.management.base.BaseCommand": "django.core.management.BaseCommand",
    "django.views.generic.base.View": "django.views.View",
    "django.views.generic.View": "django.views.View",
    "celery.app.base.Celery": "celery.Celery",
    "celery.app.task.Task": "celery.Task",
    "celery.app.shared_task": "celery.shared_task",
    "rq.queue.Queue": "rq.Queue",
    "dash.dash.Dash": "dash.Dash",
    "panel.chat.interface.ChatInterface": "panel.chat.ChatInterface",
    "panel.chat.feed.ChatFeed": "panel.chat.ChatFeed",
    "slack_bolt.app.App": "slack_bolt.App",
    "slack_bolt.app.async_app.AsyncApp": "slack_bolt.async_app.AsyncApp",
    "mcp.server.fastmcp.server.FastMCP": "mcp.server.fastmcp.FastMCP",
    "mcp.server.FastMCP": "mcp.server.fastmcp.FastMCP",
    "mcp.server.mcpserver.MCPServer": "mcp.server.MCPServer",
    "mcp.server.lowlevel.server.Server": "mcp.server.lowlevel.Server",
    "mcp.server.Server": "mcp.server.lowlevel.Server",
    "fastmcp.server.FastMCP": "fastmcp.FastMCP",
    "discord.ext.commands.bot.Bot": "discord.ext.commands.Bot",
}
