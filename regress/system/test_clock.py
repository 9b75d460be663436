"""A wall clock that is set by a year, there and back, while the server runs: a host that booted in a wrong year."""
from genkan import Client, Genkan, free_port, wait_for
from smtppeer import SmtpPeer

YEAR = 365 * 86400
CONF = """
gate {{
	trap 30d when helo in {{ "bot.example" }}
	reject when trapped
}}
relay {{
	from {{ 127.0.0.1 }}
	route "*" to "[127.0.0.1]:{port}"
}}
domain "example.org" {{
	users {{ "alice" }}
	deliver maildir "$mail/%{{user}}"
}}
"""


def test_nobody_waits_for_a_time_that_does_not_come(place):
    port = free_port()
    with Genkan(place / "mx", CONF.format(port=port), listen="gate xclient from { 127.0.0.1 }") as mx:
        def call(recipient, helo="client.example", client=None):
            with Client(mx.port) as c:
                if client:
                    assert c.say(f"XCLIENT ADDR={client} NAME=[UNAVAILABLE]").code == 220
                return c.mail("alice@example.org", recipient, helo=helo).code

        def tried(recipient, times):
            wait_for(lambda: sum(e["to"] == recipient for e in mx.log("queue.deferred")) >= times,
                     f"attempt {times} for {recipient}: " + mx.log_text()[-2000:])

        assert call("before@partner.example") == 250
        tried("before@partner.example", 1)
        mx.set_clock(YEAR)
        mx.await_log("queue.clock", set_by=YEAR)
        tried("before@partner.example", 2)
        assert call("ahead@partner.example") == 250
        assert call("alice@example.org", helo="bot.example", client="192.0.2.1") == 250
        wait_for(lambda: call("alice@example.org", client="192.0.2.1") == 550, "the bot to be trapped")
        assert not mx.log("queue.notice") and not mx.log("queue.expired")
        mx.set_clock(-YEAR)
        mx.await_log("queue.clock", set_by=-YEAR)
        assert call("alice@example.org", client="192.0.2.1") == 250
        with SmtpPeer(port=port) as peer:
            mx.advance(4 * 3600 + 1800)
            peer.await_messages(2)
        mx.await_empty_queue()
        # a delay was told once, of the one that waited for hours: nothing came of the year
        assert not mx.log("queue.expired") and {e["kind"] for e in mx.log("queue.notice")} <= {"delay"}
