from __future__ import annotations

from typing import Any

import pytest
from chat_server import CLOSES, Reply, serving

from seedbed.engines import remote
from seedbed.engines.remote import Remote, Said, Wanted, public
from seedbed.engines.sampling import Sampling
from seedbed.errors import NotFound, Offline, UserError

KEY = "sk-very-secret-0815"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "WAIT", 0.01)
    monkeypatch.setattr(remote, "SECONDS", 0.3)


def wanted(count: int) -> list[Wanted]:
    return [Wanted([{"role": "user", "content": f"q{i}"}, {"role": "assistant", "content": "a", "weight": 0},
                    {"role": "user", "content": f"more {i}"}], Sampling(12, 0.8, 0.9, seed=i)) for i in range(count)]


def echo(body: dict[str, Any], count: int) -> Reply:
    return f"to {body['messages'][-1]['content']}"


def test_answers_come_with_their_places_and_the_request_says_how() -> None:
    with serving(echo) as server, Remote(server.url, key=KEY) as model:
        assert dict(model.answers(wanted(20))) == {i: Said(f"to more {i}") for i in range(20)}
    first = min(server.bodies, key=lambda body: body["seed"])
    turns = [{"role": role, "content": text} for role, text in (
        ("user", "q0"), ("assistant", "a"), ("user", "more 0"))]
    assert first == {"model": "big", "max_tokens": 12, "temperature": 0.8, "top_p": 0.9, "seed": 0, "messages": turns}
    assert set(server.keys) == {f"Bearer {KEY}"}


@pytest.mark.parametrize("failure", [429, 500, 503, b"{broken", b'{"choices": []}', b"[1]", CLOSES, 0.6])
def test_what_may_pass_is_tried_again(failure: Reply) -> None:
    with serving(lambda body, count: failure if count < 2 else echo(body, count)) as server, \
            Remote(server.url) as model:
        assert model.answer(wanted(1)[0]) == Said("to more 0")
    assert len(server.bodies) == 3


def test_a_server_that_always_fails_ends_it_and_the_key_is_in_no_word() -> None:
    with serving(lambda body, count: 500) as server, Remote(server.url, key=KEY) as model, \
            pytest.raises(Offline, match=r"gave no answer in 6 tries: HTTP 500\.") as caught:
        list(model.answers(wanted(8)))
    assert KEY not in str(caught.value) and KEY not in repr(caught.getrepr())
    with pytest.raises(Offline, match="ConnectError"), Remote(server.url) as model:
        model.answer(wanted(1)[0])


def test_one_request_that_is_refused_is_not_the_end() -> None:
    with serving(lambda body, count: 400 if "more 3" in str(body) else echo(body, count)) as server, \
            Remote(server.url, "big") as model:
        said = dict(model.answers(wanted(6)))
    assert said[3].text is None and "HTTP 400" in said[3].refused
    assert len(server.bodies) == 6 and sum(one.text is not None for one in said.values()) == 5


def test_what_no_other_time_helps_is_told_at_once() -> None:
    for status, kind, match in ((401, UserError, "does not let us in"), (404, NotFound, "does not know the address")):
        with serving(lambda body, count, status=status: status) as server, Remote(server.url, key=KEY) as model, \
                pytest.raises(kind, match=match) as caught:
            model.answer(wanted(1)[0])
        assert len(server.bodies) == 1 and KEY not in str(caught.value)
    with serving(echo, ("one", "two")) as server, Remote(server.url) as model, \
            pytest.raises(UserError, match="has 2 models: one, two"):
        model.answer(wanted(1)[0])


def test_a_cut_answer_is_known() -> None:
    with serving(lambda body, count: {"message": {"content": None}, "finish_reason": "length"}) as server, \
            Remote(server.url) as model:
        assert model.answer(wanted(1)[0]) == Said("", True)


def test_secrets_and_other_places_are_refused() -> None:
    with pytest.raises(UserError, match="carries a name, a key or a password") as caught:
        Remote("https://me:secret@example.org/v1")
    assert "secret" not in str(caught.value)
    with pytest.raises(UserError, match="carries"):
        Remote("https://example.org/v1?key=secret")
    with pytest.raises(Offline, match="The teacher is at"):
        Remote("https://example.org/v1", offline=True)
    Remote("http://localhost:1/v1", offline=True).close()
    with pytest.raises(UserError, match="is not the address of a server"):
        Remote("ftp://example.org")
    assert public("https://me:secret@example.org/v1?key=secret") == "https://example.org/v1"
