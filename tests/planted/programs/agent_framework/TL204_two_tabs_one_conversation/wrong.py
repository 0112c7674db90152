from agent_framework import Agent, AgentSession
from agent_framework.openai import OpenAIChatCompletionClient
from fastapi import Body, FastAPI

app = FastAPI()
agent = Agent(OpenAIChatCompletionClient("gpt-4o-mini"), "You help with homework.", name="tutor")
sessions: dict[str, AgentSession] = {}


@app.post("/conversations/{conversation_id}/messages")
async def post_message(conversation_id: str, text: str = Body(embed=True)):
    session = sessions.setdefault(conversation_id, agent.create_session(session_id=conversation_id))
    response = await agent.run(text, session=session)
    return {"conversation_id": conversation_id, "text": response.text}
