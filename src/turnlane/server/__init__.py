"""The HTTP server: OpenAI's Responses, Conversations and Chat Completions API over the turns of an engine."""

from turnlane.server.app import create_app
from turnlane.server.keys import ApiKeys, KeysError, check_binding
from turnlane.server.settings import Readiness, ServerSettings

__all__ = ["ApiKeys", "KeysError", "Readiness", "ServerSettings", "check_binding", "create_app"]
