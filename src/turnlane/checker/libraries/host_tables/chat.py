"""Bots on chat platforms."""

from __future__ import annotations

from turnlane.checker.libraries.registration import Context, Registration, methods, rows

_DISCORD = Context("Discord", "callback", "loop")
_CLIENTS = "discord.Client nextcord.Client disnake.Client"
_COMMAND_BOTS = "discord.ext.commands.Bot nextcord.ext.commands.Bot disnake.ext.commands.Bot"
_SLASH_BOTS = (
    "discord.Bot nextcord.Client nextcord.ext.commands.Bot disnake.ext.commands.Bot"  # the first: py-cord
)
_DISCORD_FUNCTIONS = (
    "discord.app_commands.command discord.app_commands.CommandTree.command discord.ext.commands.command "
    "discord.ext.commands.hybrid_command discord.ext.commands.Cog.listener discord.ext.tasks.loop "
    "discord.ui.button nextcord.slash_command nextcord.ext.commands.command nextcord.ext.commands.Cog.listener"
    " nextcord.ext.tasks.loop"
)
_TELEGRAM = Context("Telegram", "callback", "loop")
_AIOGRAM = Context("Telegram", "callback", "threadpool")  # aiogram 3; version 2 takes async functions only
_AIOGRAM_OBSERVERS = "message callback_query edited_message inline_query channel_post my_chat_member"
_TELEBOT = Context("Telegram", "callback", "own", asynchronous="never")
_SLACK = Context("Slack", "callback", "own", asynchronous="never")
_SLACK_ASYNC = Context("Slack", "callback", "loop")
_SLACK_EVENTS = "event message command action shortcut view options middleware error"
_BOTS = Context("Bot Framework", "callback", "loop")
_FASTAGENCY = Context("FastAgency", "callback", "threadpool", asynchronous="own loop")

ROWS: list[Registration] = [
    *rows(_DISCORD, "decorator", methods(f"{_CLIENTS} {_COMMAND_BOTS} discord.Bot", "event")),
    *rows(_DISCORD, "decorator", methods(f"{_COMMAND_BOTS} discord.Bot", "command listen")),
    *rows(_DISCORD, "decorator", methods(_SLASH_BOTS, "slash_command message_command user_command")),
    *rows(_DISCORD, "decorator", "discord.ext.commands.Bot.hybrid_command"),
    *rows(_DISCORD, "decorator", _DISCORD_FUNCTIONS),
    *rows(_DISCORD, "subclass", f"{_CLIENTS} {_COMMAND_BOTS} discord.Bot", "on_* setup_hook"),
    *rows(_TELEGRAM, "argument", methods("telegram.ext", "CommandHandler MessageHandler"), "1 callback"),
    *rows(_TELEGRAM, "argument", methods("telegram.ext", "CallbackQueryHandler InlineQueryHandler"), "0 callback"),
    *rows(
        _TELEGRAM, "argument", "telegram.ext.JobQueue.run_once telegram.ext.JobQueue.run_repeating", "0 callback"
    ),
    *rows(_AIOGRAM, "decorator", methods("aiogram.Dispatcher aiogram.Router", _AIOGRAM_OBSERVERS)),
    *rows(_TELEGRAM, "decorator", "aiogram.Dispatcher.message_handler aiogram.Dispatcher.callback_query_handler"),
    *rows(_TELEBOT, "decorator", methods("telebot.TeleBot", "message_handler callback_query_handler")),
    *rows(
        _TELEGRAM,
        "decorator",
        methods("telebot.async_telebot.AsyncTeleBot", "message_handler callback_query_handler"),
    ),
    *rows(_SLACK, "decorator", methods("slack_bolt.App", _SLACK_EVENTS)),
    *rows(_SLACK_ASYNC, "decorator", methods("slack_bolt.async_app.AsyncApp", _SLACK_EVENTS)),
    *rows(Context("LINE", "callback", "own", asynchronous="never"), "decorator", "linebot.WebhookHandler.add"),
    *rows(Context("LINE", "callback", "own", asynchronous="never"), "decorator", "linebot.v3.WebhookHandler.add"),
    *rows(
        _BOTS,
        "subclass",
        "botbuilder.core.ActivityHandler botbuilder.core.teams.TeamsActivityHandler",
        "on_turn on_message_activity on_members_added_activity on_teams_*",
    ),
    *rows(_BOTS, "decorator", methods("teams.Application", "activity message error")),
    *rows(_BOTS, "decorator", methods("microsoft_agents.hosting.core.AgentApplication", "activity message error")),
    *rows(
        _FASTAGENCY,
        "decorator",
        "fastagency.runtimes.ag2.Workflow.register",
    ),
]
