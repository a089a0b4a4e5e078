"""What a client is answered, rule by rule of the protocol's sections 2, 6 and 7."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from common.accounts import Scope
from common.bus import Take, Verdict
from common.commands import MoveTo, Say
from common.envelopes import CancelOffered
from common.frames import Ack, Challenge, Error, OfferedChallenge, Result
from common.grid import CommandId
from common.journal import Known
from common.limits import (
    BAD_FRAMES_MAX,
    CHALLENGE_MS,
    CHALLENGES_ASKED_MAX,
    COMMAND_GRACE_MS,
    COMMAND_MS_MAX,
    COOLDOWN_MS,
    LINES_HELD_MAX,
    PENDING_PER_SESSION_MAX,
    PIPELINED_CHALLENGE_MS,
    REOFFER_SECONDS,
)
from common.operators import Moderation
from common.refusals import CloseCode
from gateway.agent.actions import (
    End,
    FindLines,
    Forgive,
    OfferCancel,
    OfferCommand,
    Recall,
    Send,
    Settle,
    Strike,
    TakeTokens,
)
from gateway.agent.answered import Answered
from gateway.agent.docket import Docket
from gateway.agent.exchange import Exchange
from gateway.agent.ordering import Ordering
from gateway.moderation import Moderator
from tests.gateway.agent.builders import (
    AGENT,
    CHUNK,
    MOVE,
    NOW_MS,
    SAY,
    SESSION,
    Client,
    a_refusal,
    a_result,
    a_sitting,
    an_ack,
    code,
    frames,
    numbers,
    seqs,
    the,
    the_offer,
)

REOFFER_MS = int(REOFFER_SECONDS * 1000)


def a_client(
    docket: Docket | None = None, moderator: Moderator | None = None, **sitting: Any
) -> Client:
    exchange = Exchange(
        a_sitting(**sitting),
        docket or Docket(),
        CHUNK,
        numbers(),
        moderator=moderator or Moderator(),
    )
    return Client(exchange)


def following(client: Client) -> OfferedChallenge:
    return client.exchange.offer_challenge(client.now_ms)


# The exchange


def test_the_protocols_test_vector_is_accepted_and_nothing_near_it() -> None:
    client = Client(Exchange(a_sitting(), Docket(), CHUNK, lambda: bytes(16)))
    challenge = client.ask("c-1", {"name": "move_to", "x": 3, "y": -4})
    assert challenge.nonce == "AAAAAAAAAAAAAAAAAAAAAA"
    assert challenge.expires_at == "2026-01-01T00:00:02.000Z"
    offer = client.answer_with(
        "c-1", challenge.nonce, "PvlTrGEmW9W4Ua6FA5uUrEkepyxM0ihsfHZmSz_vkYU"
    )
    message = the_offer(offer).message
    assert (message.agent, message.session, message.id) == (AGENT, SESSION, "c-1")
    assert message.command == MoveTo(3, -4)


def test_an_exchange_goes_from_request_to_result() -> None:
    client = Client()
    message = client.offer()
    assert message.chunk == CHUNK
    assert message.expires_at_ms == NOW_MS + COMMAND_MS_MAX
    ack = the(Ack, client.accept(1))
    assert (ack.id, ack.status, ack.seq, ack.tick) == ("c-1", "accepted", 1, 7)
    result = the(Result, client.finish(2))
    assert (result.status, result.reason, result.seq) == ("completed", None, 2)


def test_a_failed_result_says_why() -> None:
    client = Client()
    client.offer()
    client.accept(1)
    told = client.exchange.hear_line(a_result(2, reason="blocked"), client.now_ms)
    assert (the(Result, told).status, the(Result, told).reason) == ("failed", "blocked")


def test_every_ack_carries_a_challenge_that_the_next_command_can_use() -> None:
    client = Client()
    rejected = the(Ack, client.request("c-1", {"name": "dance"}))
    assert rejected.challenge is not None
    first = the_offer(client.pipeline(rejected.challenge, "c-2")).message
    assert first.command == MoveTo(3, -4)
    accepted = the(Ack, client.accept(1, "c-2"))
    client.finish(2, "c-2")
    assert accepted.challenge is not None
    the_offer(client.pipeline(accepted.challenge, "c-3"))


def test_a_command_is_signed_as_it_was_sent() -> None:
    client = Client()
    backwards = {"y": -4, "x": 3, "name": "move_to"}
    challenge = client.ask("c-1", backwards)
    the_offer(client.answer(challenge, MOVE))  # Canonical: the order of fields does not count.
    challenge = client.ask("c-2", SAY)
    actions = client.answer(challenge, {"name": "say", "text": "Hello"})
    assert code(actions) == "invalid_signature"


@pytest.mark.parametrize("late_ms", [0, 1])
def test_a_challenge_is_good_to_its_last_millisecond(late_ms: int) -> None:
    client = Client()
    challenge = client.ask()
    client.now_ms += CHALLENGE_MS + late_ms
    actions = client.answer(challenge)
    if late_ms:
        assert code(actions) == "challenge_expired"
        assert actions[1:] == [Strike("expired")]
    else:
        the_offer(actions)


@pytest.mark.parametrize("late_ms", [0, 1])
def test_a_pipelined_challenge_is_good_for_longer(late_ms: int) -> None:
    client = Client()
    offered = following(client)
    client.now_ms += PIPELINED_CHALLENGE_MS + late_ms
    actions = client.pipeline(offered)
    assert (code(actions) == "challenge_expired") if late_ms else the_offer(actions)


# Proofs that are none


def test_a_wrong_signature_is_invalid_and_spends_its_nonce() -> None:
    client = Client()
    challenge = client.ask()
    actions = client.answer_with("c-1", challenge.nonce, "A" * 43)
    assert code(actions) == "invalid_signature"
    assert actions[1:] == [Strike("invalid")]
    actions = client.answer(challenge)
    assert code(actions) == "challenge_unknown"
    assert len(actions) == 1, "a spent nonce is no invalid answer"


@pytest.mark.parametrize("signature", ["", "!", "A" * 4000, "PvlT==", "\u00e9", "A\n"])
def test_a_signature_that_could_never_be_one_is_a_wrong_one(signature: str) -> None:
    client = Client()
    challenge = client.ask()
    assert code(client.answer_with("c-1", challenge.nonce, signature)) == "invalid_signature"
    offered = following(client)
    actions = client.request("c-2", MOVE, (offered.nonce, signature))
    assert code(actions) == "invalid_signature"


@pytest.mark.parametrize("nonce", ["", "?", "B" * 22, "A" * 100])
def test_a_nonce_that_is_not_ours_is_unknown_and_leaves_the_right_one_open(nonce: str) -> None:
    client = Client()
    challenge = client.ask()
    assert code(client.answer_with("c-1", nonce, "A")) == "challenge_unknown"
    the_offer(client.answer(challenge))


def test_a_signature_replayed_under_another_id_is_unknown() -> None:
    client = Client()
    offered = following(client)
    client.pipeline(offered, "c-1", SAY)
    actions = client.request("c-2", SAY, (offered.nonce, client.sign("c-2", SAY, offered)))
    assert code(actions) == "challenge_unknown"
    assert len(actions) == 1


def test_a_foreign_signature_is_invalid() -> None:
    client = Client()
    challenge = client.ask()
    client.secret = bytes(32)
    assert code(client.answer(challenge)) == "invalid_signature"


@pytest.mark.parametrize("other", [{**MOVE, "x": 4}, {**MOVE, "name": "wait"}])
def test_a_signature_over_another_command_is_invalid(other: dict[str, Any]) -> None:
    client = Client()
    assert code(client.answer(client.ask(), other)) == "invalid_signature"


def test_a_challenge_asked_for_one_id_proves_no_other() -> None:
    client = Client()
    one, other = client.ask("c-1", SAY), client.ask("c-2", SAY)
    swapped = client.answer_with("c-1", other.nonce, client.sign("c-1", SAY, other))
    assert code(swapped) == "challenge_unknown"
    pipelined = client.request("c-3", SAY, (one.nonce, client.sign("c-3", SAY, one)))
    assert code(pipelined) == "challenge_unknown"
    the_offer(client.answer(one, SAY))


def test_an_answer_that_nobody_asked_for_is_unknown() -> None:
    client = Client()
    offered = following(client)
    actions = client.answer_with("c-1", offered.nonce, client.sign("c-1", MOVE, offered))
    assert code(actions) == "challenge_unknown"


def test_the_oldest_challenge_is_forgotten_when_there_are_too_many() -> None:
    client = Client()
    challenges = [client.ask(f"c-{n}") for n in range(CHALLENGES_ASKED_MAX + 1)]
    assert code(client.answer(challenges[0])) == "challenge_unknown"
    the_offer(client.answer(challenges[2]))


def test_a_whole_burst_can_be_asked_for_before_any_of_it_is_answered() -> None:
    client = Client()
    challenges = [client.ask(f"c-{n}", SAY) for n in range(20)]
    for challenge in challenges:
        the_offer(client.answer(challenge, SAY))


def test_refused_commands_crowd_out_no_challenge() -> None:
    client = Client()
    asked, offered = client.ask("c-1", SAY), following(client)
    for n in range(100):
        client.exchange.reject(CommandId(f"x-{n}"), "in_flight", client.now_ms)
    the_offer(client.answer(asked, SAY))
    signed = (offered.nonce, client.sign("c-2", SAY, offered))
    the_offer(client.request("c-2", SAY, signed))


def test_a_request_sent_again_before_its_answer_gets_the_same_challenge_while_it_is_good() -> None:
    client = a_client(commands_per_s=10)
    challenge = client.ask()
    assert client.ask() == challenge
    assert client.ask("c-1", SAY) != challenge
    again = client.ask()
    assert again != challenge, "a new one took its place"
    client.now_ms += CHALLENGE_MS + 1
    assert client.ask() != again


# Refusals in place of a challenge


@pytest.mark.parametrize(
    "command",
    [
        {},
        {"name": "dance"},
        {"name": "move_to", "x": 1},
        {"name": "move_to", "x": 1, "y": 2, "z": 3},
        {"name": "move_to", "x": 1.0, "y": 2},
        {"name": "move_to", "x": True, "y": 2},
        {"name": "move_to", "x": 2**31 + 1, "y": 2},
        {"name": "move_to", "x": 10**40, "y": 2},
        {"name": "say", "text": ""},
        {"name": "say", "text": "x" * 281},
        {"name": "say", "text": None},
        {"name": "wait", "ticks": 0},
        {"name": "wait", "ticks": 51},
        {"name": ["move_to"], "x": 1, "y": 2},
        [],
        "move_to",
        None,
        7,
    ],
)
def test_a_command_that_makes_no_sense_is_rejected_under_its_id(command: object) -> None:
    actions = Client().request("c-1", command)
    assert code(actions) == "validation_failed"
    assert the(Ack, actions).id == "c-1"


def test_coordinates_up_to_the_bound_make_sense() -> None:
    Client().ask("c-1", {"name": "move_to", "x": 2**31, "y": -(2**31)})


@pytest.mark.parametrize(
    ("scopes", "command", "refused"),
    [
        ({Scope.ACT}, MOVE, False),
        ({Scope.ACT}, SAY, True),
        ({Scope.CHAT}, SAY, False),
        ({Scope.CHAT}, MOVE, True),
        ({Scope.CHAT}, {"name": "wait", "ticks": 1}, True),
        ({Scope.OBSERVE}, SAY, True),
    ],
)
def test_say_needs_chat_and_all_else_needs_act(
    scopes: set[Scope], command: dict[str, Any], refused: bool
) -> None:
    actions = a_client(scopes=scopes).request("c-1", command)
    assert code(actions) == "scope_missing" if refused else the(Challenge, actions)


def test_a_muted_agent_walks_and_says_nothing() -> None:
    until = datetime.fromtimestamp(NOW_MS / 1000, UTC) + timedelta(seconds=9)
    moderator = Moderator()
    moderator.hear(Moderation(1, muted={AGENT: until}))
    client = a_client(moderator=moderator)
    refused = the(Ack, client.request("c-1", SAY))
    assert (refused.code, refused.retry_after_ms) == ("muted", 9_000)
    assert code(client.pipeline(following(client), "c-2", SAY)) == "muted"
    client.run("c-3", 1, MOVE)
    client.now_ms += 9_000
    client.offer("c-4", SAY)


def test_a_banned_word_is_refused_also_after_its_challenge() -> None:
    moderator = Moderator()
    client = a_client(moderator=moderator)
    say = {"name": "say", "text": "Darn it!"}
    challenge = client.ask("c-1", say)
    moderator.hear(Moderation(1, words=("darn",)))
    assert code(client.answer(challenge, say)) == "moderated"
    assert code(client.request("c-2", say)) == "moderated"
    client.offer("c-3", SAY)


@pytest.mark.parametrize("accepted", [False, True])
def test_a_second_command_is_in_flight_with_the_first(accepted: bool) -> None:
    client = Client()
    client.offer("c-1")
    if accepted:
        client.accept(1, "c-1")
    assert code(client.request("c-2")) == "in_flight"
    assert code(client.pipeline(following(client), "c-3")) == "in_flight"


def test_two_challenges_may_be_open_but_one_command_is_in_flight() -> None:
    client = Client()
    one, other = client.ask("c-1"), client.ask("c-2")
    the_offer(client.answer(one))
    assert code(client.answer(other)) == "in_flight"


def test_say_goes_beside_a_command_in_flight_and_holds_up_none() -> None:
    client = Client()
    client.offer("c-1")
    client.accept(1, "c-1")
    client.offer("s-1", SAY)
    client.accept(2, "s-1")
    client.offer("s-2", SAY)
    client.finish(3, "c-1")
    client.ask("c-2")


def test_after_its_result_or_its_refusal_another_command_may_come() -> None:
    client = Client()
    client.run("c-1", 1)
    client.offer("c-2")
    refused = client.exchange.hear_line(a_refusal("not_walkable", "c-2"), client.now_ms)
    assert code(refused) == "not_walkable"
    client.ask("c-3")


def test_a_command_in_flight_on_another_gateway_counts() -> None:
    docket = Docket(running={CommandId("c-1")})
    client = a_client(docket)
    assert code(client.request("c-2")) == "in_flight"
    client.accept(1, "c-1")
    client.finish(2, "c-1")
    client.ask("c-2")


def test_a_filled_counter_refuses_the_next_command_until_the_cooldown_is_over() -> None:
    client = Client()
    challenge = client.ask("c-2")
    offered = following(client)
    client.exchange.cooled_down(client.now_ms)
    client.now_ms += 1000
    for actions in (
        client.request("c-1"), client.answer(challenge), client.pipeline(offered, "c-3"),
    ):  # fmt: skip
        assert code(actions) == "cooldown"
        assert the(Ack, actions).retry_after_ms == COOLDOWN_MS - 1000
    client.now_ms += COOLDOWN_MS - 1000
    client.ask("c-1")


def test_a_cooldown_from_elsewhere_counts() -> None:
    exchange = Exchange(a_sitting(), Docket(), CHUNK, numbers(), cooldown_until_ms=NOW_MS + 5)
    assert code(Client(exchange).request()) == "cooldown"


def test_a_two_step_command_takes_its_tokens_before_the_challenge() -> None:
    client = a_client(commands_per_s=10, chat_per_min=30)
    (action,) = client.exchange.hear(
        '{"type":"command_req","id":"c-1","command":{"name":"say","text":"x"}}', NOW_MS
    )
    assert isinstance(action, TakeTokens)
    assert action.takes == (
        Take("command", SESSION, 10.0, 20),
        Take("chat", AGENT, 0.5, 30),
    )
    client.verdict = Verdict(retry_after_ms=120)
    actions = client.request()
    assert code(actions) == "rate_limited"
    assert the(Ack, actions).retry_after_ms == 120
    client.verdict = Verdict()
    assert the_offer(client.answer(client.ask())).takes == ()


def test_a_pipelined_command_takes_its_tokens_with_the_offer() -> None:
    client = a_client(commands_per_s=10)
    offer = the_offer(client.pipeline(following(client)))
    assert [take.kind for take in offer.takes] == ["command"]
    told = client.exchange.offered(CommandId("c-1"), Verdict(retry_after_ms=70), NOW_MS)
    assert (code(told), the(Ack, told).retry_after_ms) == ("rate_limited", 70)
    client.ask("c-2")


def test_a_limit_of_0_is_none() -> None:
    client = a_client(commands_per_s=0, chat_per_min=0)
    assert the_offer(client.pipeline(following(client), "s-1", SAY)).takes == ()


def test_no_session_has_too_many_commands_under_way() -> None:
    client = Client()
    for number in range(PENDING_PER_SESSION_MAX):
        client.offer(f"s-{number}", SAY)
    assert code(client.request("s", SAY)) == "rate_limited"


# Offers


def test_a_full_slot_is_unavailable_at_once_and_the_id_may_be_used_again() -> None:
    client = Client()
    client.offer()
    told = client.exchange.offered(CommandId("c-1"), Verdict(full=True), client.now_ms)
    assert code(told) == "unavailable"
    client.offer()


def test_an_offer_goes_where_the_agent_stands() -> None:
    client = Client()
    client.exchange.chunk = type(CHUNK)("5:5")
    assert client.offer().chunk == "5:5"


def test_an_unanswered_offer_is_made_again_and_given_up_only_when_postgres_knows_nothing() -> None:
    client = Client()
    message = client.offer()
    assert client.exchange.overdue(client.now_ms) == []
    again, actions = 0, []
    while (client.now_ms - NOW_MS) < COMMAND_MS_MAX + COMMAND_GRACE_MS:
        client.now_ms = client.exchange.docket.due_ms or 0
        actions = client.exchange.overdue(client.now_ms)
        again += actions == [OfferCommand(message, again=True)]
    assert again == COMMAND_MS_MAX // REOFFER_MS - 1
    assert actions == [Settle(CommandId("c-1"))]
    told = client.exchange.settled(CommandId("c-1"), None, client.now_ms)
    assert code(told) == "unavailable"
    assert client.exchange.docket.due_ms is None
    client.ask()


def test_a_command_that_was_accepted_after_all_is_not_called_unavailable() -> None:
    client = Client()
    client.offer()
    known = Known(an_ack(1), None)
    told = client.exchange.settled(CommandId("c-1"), known, client.now_ms)
    assert told == [FindLines(1)]
    assert code(client.accept(1)) is None


def test_a_refusal_is_final_also_when_the_offer_was_repeated() -> None:
    client = Client()
    client.offer()
    client.now_ms += REOFFER_MS
    assert any(isinstance(one, OfferCommand) for one in client.exchange.overdue(client.now_ms))
    assert code(client.exchange.hear_line(a_refusal("in_flight"), client.now_ms)) == "in_flight"


@pytest.mark.parametrize("is_accepted", [False, True])
def test_a_late_refusal_of_an_earlier_offer_says_nothing_about_this_one(is_accepted: bool) -> None:
    client = Client()
    client.offer()
    refusal = a_refusal("in_flight")
    client.exchange.hear_line(refusal, client.now_ms)
    client.now_ms += 1
    fresh = client.offer()
    assert client.exchange.hear_line(refusal, client.now_ms) == []
    assert client.exchange.docket.is_pending(CommandId("c-1"))
    if is_accepted:
        assert code(client.accept(1)) is None
    else:
        own = a_refusal("not_walkable", expires_at_ms=fresh.expires_at_ms)
        assert code(client.exchange.hear_line(own, client.now_ms)) == "not_walkable"


def test_what_an_earlier_connection_offered_is_waited_for_and_not_offered_again() -> None:
    client, id = Client(), CommandId("c-1")
    expires_at_ms = NOW_MS + 3_000
    client.exchange.docket.expect({id: expires_at_ms})
    assert client.request("c-1") == [], "its ack is on the way"
    assert code(client.request("c-2")) == "in_flight"
    client.now_ms = client.exchange.docket.due_ms or 0
    assert client.now_ms == expires_at_ms + COMMAND_GRACE_MS
    assert client.exchange.overdue(client.now_ms) == [Settle(id)]
    assert code(client.exchange.settled(id, None, client.now_ms)) == "unavailable"
    client.offer("c-1")


@pytest.mark.parametrize("refused", [False, True])
def test_what_an_earlier_connection_offered_is_told_when_it_is_decided(refused: bool) -> None:
    client = Client()
    client.exchange.docket.expect({CommandId("c-1"): NOW_MS + 3_000})
    line = a_refusal("not_walkable", expires_at_ms=NOW_MS + 3_000) if refused else an_ack(1)
    told = client.exchange.hear_line(line, client.now_ms)
    assert code(told) == ("not_walkable" if refused else None)
    assert client.exchange.docket.due_ms is None


def test_what_was_told_before_an_earlier_connection_offered_it_again_is_not_told_anew() -> None:
    client = Client()
    client.run("c-1", 1)
    client.exchange.docket.expect({CommandId("c-1"): NOW_MS + 3_000})
    known = Known(an_ack(1), a_result(2))
    assert client.exchange.settled(CommandId("c-1"), known, client.now_ms) == []
    assert client.exchange.docket.due_ms is None
    assert seqs(client.request("c-1")) == [1, 2]


def test_an_ack_in_time_ends_the_waiting() -> None:
    client = Client()
    client.offer()
    client.accept(1)
    client.now_ms += 60_000
    assert client.exchange.overdue(client.now_ms) == []
    assert client.exchange.settled(CommandId("c-1"), None, client.now_ms) == []


# Lines


def test_lines_are_told_once_and_in_order_however_they_come() -> None:
    client = Client()
    client.offer("c-1")
    told = client.finish(2, "c-1")
    assert told == [FindLines()], "its ack is missing"
    assert seqs(client.accept(3, "c-2")) == []
    assert seqs(client.accept(1, "c-1")) == [1, 2, 3]
    assert seqs(client.accept(1, "c-1") + client.finish(2, "c-1") + client.accept(3, "c-2")) == []


def test_too_many_lines_waiting_for_one_that_is_missing_end_the_connection() -> None:
    client = Client()
    for seq in range(2, LINES_HELD_MAX + 2):
        assert client.accept(seq, f"c-{seq}") == [FindLines()]
    (end,) = client.accept(LINES_HELD_MAX + 2, "c")
    assert isinstance(end, End)
    assert end.code is CloseCode.OVERLOADED


def test_a_refusal_of_what_nobody_waits_for_is_dropped() -> None:
    client = Client()
    client.offer()
    client.accept(1)
    assert client.exchange.hear_line(a_refusal("in_flight"), client.now_ms) == []
    assert client.exchange.hear_line(a_refusal("in_flight", "c-9"), client.now_ms) == []


def test_a_refusal_passes_on_how_long_to_wait() -> None:
    client = Client()
    client.offer()
    line = attrs.evolve(a_refusal("muted"), retry_after_ms=9000)
    told = client.exchange.hear_line(line, client.now_ms)
    assert (code(told), the(Ack, told).retry_after_ms) == ("muted", 9000)


def test_bad_answers_are_forgiven_once_a_command_is_accepted() -> None:
    client = Client()
    client.offer("c-1")
    assert Forgive() in client.accept(1, "c-1"), "another gateway may have counted some"
    client.finish(2, "c-1")
    client.offer("c-2")
    assert Forgive() not in client.accept(3, "c-2")
    client.finish(4, "c-2")
    client.answer_with("c-3", client.ask("c-3").nonce, "wrong")
    client.offer("c-3")
    assert Forgive() in client.accept(5, "c-3")


def test_lines_that_are_told_again_forgive_nothing() -> None:
    client = Client()
    assert seqs(client.exchange.replay(an_ack(1), NOW_MS)) == [1]
    assert Forgive() not in client.exchange.replay(a_result(2), NOW_MS)
    client.offer("c-2")
    assert Forgive() in client.accept(3, "c-2")


# Ids that come again


def test_an_id_sent_again_gets_the_stored_ack_and_result() -> None:
    client = Client()
    client.offer("c-1")
    client.accept(1, "c-1")
    again = the(Ack, client.request("c-1", SAY))
    assert (again.status, again.seq, again.tick) == ("accepted", 1, 7)
    assert again.challenge is not None
    client.finish(2, "c-1")
    ack, result = frames(client.request("c-1", {"name": "nonsense"}))
    assert isinstance(ack, Ack)
    assert isinstance(result, Result)
    assert (ack.seq, result.seq) == (1, 2)


@pytest.mark.parametrize("ended", [False, True])
def test_a_spent_proof_of_an_accepted_command_gets_the_stored_ack(ended: bool) -> None:
    client = Client()
    challenge, offered = client.ask("c-1"), following(client)
    client.answer(challenge)
    client.accept(1, "c-1")
    if ended:
        client.finish(2, "c-1")
    expected = [1, 2] if ended else [1]
    assert seqs(client.answer(challenge)) == expected
    assert seqs(client.pipeline(offered, "c-1")) == expected
    assert seqs(client.say({"type": "answer", "id": "c-1"})) == expected


def test_an_id_sent_again_before_its_ack_is_answered_by_that_ack() -> None:
    client = Client()
    client.offer("c-1")
    assert client.request("c-1") == []
    assert client.answer_with("c-1", "x", "y") == []
    assert client.say({"type": "command_req", "id": "c-1"}) == []
    assert len(frames(client.accept(1, "c-1"))) == 1


def test_a_rejected_id_may_be_used_again() -> None:
    client = Client()
    assert code(client.request("c-1", {"name": "x"})) == "validation_failed"
    client.offer("c-1")
    client.exchange.hear_line(a_refusal("out_of_range"), client.now_ms)
    client.offer("c-1")
    assert code(client.accept(1, "c-1")) is None


def test_an_id_of_long_ago_is_asked_of_postgres() -> None:
    client = a_client(Docket(Ordering(40), Answered(complete=False)))
    (recall,) = client.request("old")
    assert isinstance(recall, Recall)
    known = Known(an_ack(3, "old"), a_result(4, "old"))
    told = client.exchange.recalled(recall.frame, known, client.now_ms)
    assert seqs(told) == [3, 4]
    assert seqs(client.request("old")) == [3, 4], "now it is at hand"
    (recall,) = client.request("new")
    assert isinstance(recall, Recall)
    the(Challenge, client.exchange.recalled(recall.frame, None, client.now_ms))


def test_an_answer_that_was_never_told_is_not_told_out_of_order() -> None:
    client = a_client(Docket(Ordering(2), Answered(complete=False)))
    (recall,) = client.request("old")
    assert isinstance(recall, Recall)
    known = Known(an_ack(4, "old"), None)
    assert client.exchange.recalled(recall.frame, known, client.now_ms) == [FindLines(4)]
    known = Known(an_ack(2, "old"), a_result(3, "old"))
    assert seqs(client.exchange.recalled(recall.frame, known, client.now_ms)) == [2]


# Cancel


def test_a_cancel_goes_to_the_shard_once_in_a_while() -> None:
    client = Client()
    client.offer()
    client.accept(1)
    cancel = {"type": "cancel", "id": "c-1"}
    assert client.say(cancel) == [
        OfferCancel(CancelOffered(SESSION, AGENT, CommandId("c-1"), CHUNK))
    ]
    assert client.say(cancel) == []
    client.now_ms += REOFFER_MS
    assert len(client.say(cancel)) == 1


def test_a_command_that_is_not_yet_accepted_can_be_cancelled() -> None:
    client = Client()
    client.offer()
    (action,) = client.say({"type": "cancel", "id": "c-1"})
    assert isinstance(action, OfferCancel)


def test_a_cancel_that_crosses_the_result_is_passed_over() -> None:
    client = Client()
    client.run("c-1", 1)
    assert client.say({"type": "cancel", "id": "c-1"}) == []


def test_a_cancel_of_nothing_is_an_error() -> None:
    error = the(Error, Client().say({"type": "cancel", "id": "c-1"}))
    assert (error.code, error.id) == ("not_in_flight", "c-1")


def test_a_cancel_that_could_not_be_offered_may_be_tried_again_at_once() -> None:
    client = Client()
    client.offer()
    client.say({"type": "cancel", "id": "c-1"})
    error = the(Error, client.exchange.cancel_failed(CommandId("c-1")))
    assert (error.code, error.id) == ("unavailable", "c-1")
    (action,) = client.say({"type": "cancel", "id": "c-1"})
    assert isinstance(action, OfferCancel)


# Frames that are none


@pytest.mark.parametrize(
    "text",
    [None, "", "{", "nonsense", "[]", "7", "null", '"x"', "{}", '{"type":"x"}', '{"type":[]}',
     '{"type":null}', "[" * 5000, '{"type":"command_req"} {}', '{"type":"session_ready"}'],
)  # fmt: skip
def test_the_fifth_frame_that_makes_no_sense_closes(text: str | None) -> None:
    client = Client()
    for _ in range(BAD_FRAMES_MAX - 1):
        error = the(Error, client.exchange.hear(text, NOW_MS))
        assert error.code == "malformed"
    error_action, end = client.exchange.hear(text, NOW_MS)
    assert isinstance(error_action, Send)
    assert isinstance(end, End)
    assert end.code is CloseCode.POLICY


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "command_req"},
        {"type": "command_req", "command": MOVE},
        {"type": "command_req", "id": "", "command": MOVE},
        {"type": "command_req", "id": "x" * 65, "command": MOVE},
        {"type": "command_req", "id": "a b", "command": MOVE},
        {"type": "command_req", "id": "c-1\n", "command": MOVE},
        {"type": "command_req", "id": 7, "command": MOVE},
        {"type": "answer", "nonce": "a", "signature": "b"},
        {"type": "cancel"},
        {"type": "cancel", "id": {}},
    ],
)
def test_a_frame_without_a_valid_id_is_an_error_and_does_not_count(frame: object) -> None:
    client = Client()
    for _ in range(BAD_FRAMES_MAX + 1):
        error = the(Error, client.say(frame))
        assert (error.code, error.id) == ("validation_failed", None)


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "command_req", "id": "c-1"},
        {"type": "command_req", "id": "c-1", "command": MOVE, "more": 1},
        {"type": "command_req", "id": "c-1", "command": MOVE, "answer": "x"},
        {"type": "command_req", "id": "c-1", "command": MOVE, "answer": {"nonce": "a"}},
        {
            "type": "command_req",
            "id": "c-1",
            "command": MOVE,
            "answer": {"nonce": 1, "signature": 2},
        },
        {"type": "answer", "id": "c-1"},
        {"type": "answer", "id": "c-1", "nonce": 5, "signature": "x"},
        {"type": "answer", "id": "c-1", "nonce": "a", "signature": "b", "more": 1},
    ],
)
def test_a_faulty_frame_with_a_valid_id_is_rejected_under_it_and_does_not_count(
    frame: object,
) -> None:
    client = Client()
    for _ in range(BAD_FRAMES_MAX + 1):
        actions = client.say(frame)
        assert (code(actions), the(Ack, actions).id) == ("validation_failed", "c-1")


def test_a_cancel_with_too_much_in_it_is_an_error_under_its_id() -> None:
    error = the(Error, Client().say({"type": "cancel", "id": "c-1", "why": "?"}))
    assert (error.code, error.id) == ("validation_failed", "c-1")


def test_an_id_may_use_every_character_that_the_protocol_names() -> None:
    Client().ask("AZaz09_.:-" + "x" * 54)


def test_a_say_is_understood() -> None:
    assert Client().offer("s-1", SAY).command == Say("hello")
