"""Every third answer ends at the token limit."""

from turnlane.practice import Answer, PracticeRequest


def answer(request: PracticeRequest) -> Answer:
    if request.number % 3 == 0:
        return Answer(text="An article: the first thing to know is that the", finish_reason="length", latency=0.1)
    return Answer(text=f"I have read: {request.user_message}", latency=0.1)
