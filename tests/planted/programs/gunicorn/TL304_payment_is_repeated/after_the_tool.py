"""A model that pays when it is asked to, and is not available for the first three answers after that."""

from turnlane.practice import Answer, Fault, PracticeRequest, ToolCall

failed = set()


def answer(request: PracticeRequest) -> Answer | Fault:
    if not request.tool_results:
        return Answer(tool_calls=[ToolCall("pay_invoice", {"number": 7})], latency=0.1)
    if request.first_message not in failed:
        failed.add(request.first_message)
        return Fault("server_error", status=503)
    return Answer(text="It is paid.", latency=0.1)
