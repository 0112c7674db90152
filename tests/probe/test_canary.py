"""Words that are found again, whoever shows them."""

from __future__ import annotations

from turnlane.probe.canary import STRANGER, Canaries, echoes, ordered_text


def test_a_word_is_found_with_its_user_and_message_in_any_case() -> None:
    canaries = Canaries()
    ann, ben = canaries.user(), canaries.user()
    first, second = canaries.word(ann, "r1", 1), canaries.word(ben, "r2", 3)
    found = list(canaries.find(f'{{"a": "{second.upper()}", "b": "x{first}y"}}'))
    assert [(one.said.user, one.said.request, one.said.turn) for one in found] == [
        (ben.name, "r2", 3),
        (ann.name, "r1", 1),
    ]


def test_an_echo_is_the_same_word_but_not_the_message() -> None:
    canaries = Canaries()
    word = canaries.word(canaries.user(), "r1", 1)
    (echo,) = echoes(f"my word is {word}, {word}")
    (found,) = canaries.find(echo)
    assert found.echo
    assert found.said.word == word
    assert echo != word


def test_a_word_of_another_run_belongs_to_a_stranger() -> None:
    earlier, now = Canaries(), Canaries()
    word = earlier.word(earlier.user(), "r1", 1)
    (found,) = now.find(f"I know {word} from yesterday")
    assert found.said.user == STRANGER
    assert found.around == f"I know {word} from yesterday"


def test_plain_language_holds_no_words() -> None:
    text = "The canary echoes in the echochamber; canaryislands, echolocation, canary-yellow, echo 12345678."
    assert list(Canaries().find(text)) == []


def test_users_never_share_a_conversation_or_a_word() -> None:
    canaries = Canaries()
    users = [canaries.user() for _ in range(50)]
    assert len({user.conversation for user in users}) == 50
    assert len({canaries.word(user, "r", 1) for user in users}) == 50


def test_the_text_of_a_prompt_comes_in_its_order() -> None:
    body = {
        "messages": [
            {"role": "system", "content": "one"},
            {"role": "user", "content": [{"type": "text", "text": "two"}, {"type": "text", "text": "three"}]},
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "four"}}]},
        ]
    }
    text = ordered_text(body)
    places = [text.index(word) for word in ("one", "two", "three", "four")]
    assert places == sorted(places)
