import asyncio
import threading

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient
from flask import Flask, jsonify, request

app = Flask(__name__)
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
model = OpenAIChatCompletionClient(model="gpt-4o-mini", max_retries=0)


async def find_room(people: int) -> str:
    """Find a free room."""
    return f"room 12 for {people}"


class Conversation:
    def __init__(self):
        self.lock = threading.Lock()
        agent = AssistantAgent("office", model, tools=[find_room], reflect_on_tool_use=True)
        self.team = RoundRobinGroupChat([agent, AssistantAgent("caterer", model)], max_turns=2)


conversations = {}


@app.post("/chat/<chat_id>")
def chat(chat_id):
    conversation = conversations.setdefault(chat_id, Conversation())
    with conversation.lock:
        run = asyncio.run_coroutine_threadsafe(conversation.team.run(task=request.json["message"]), loop)
        try:
            result = run.result(timeout=30)
        except Exception as error:
            app.logger.warning("run failed: %r", error)
            return jsonify(error="please try again"), 503
    return jsonify(reply=result.messages[-1].to_text(), stop=result.stop_reason)
