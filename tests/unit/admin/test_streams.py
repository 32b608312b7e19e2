"""The streams and consumers as services/bus/streams.toml has them."""

from __future__ import annotations

from qmail.bus import subjects
from services.admin.bus.streams import consumer_config, read_definitions, stream_config


def test_write_once_streams_refuse_the_new_and_forget_nothing() -> None:
    for name in ("IN", "BODY", "HOLD"):
        config = stream_config(name, read_definitions()["stream"][name], 1000)
        assert (config["discard"], config["discard_new_per_subject"], config["max_msgs_per_subject"]) == (
            "new",
            True,
            1,
        )
        assert config["max_age"] == 0 and config["retention"] == "limits" and config["storage"] == "file"


def test_the_scheduler_s_readers_do_not_acknowledge_and_see_no_bodies() -> None:
    found = read_definitions()["consumer"]
    for stream, consumers in found.items():
        if subjects.QUEUE_CONSUMER in consumers:
            config = consumer_config(subjects.QUEUE_CONSUMER, consumers[subjects.QUEUE_CONSUMER])
            assert config["ack_policy"] == "none" and config["deliver_policy"] == "all"
            # JOURNAL holds the scheduler's own records; elsewhere the payload is somebody's mail.
            assert stream == subjects.JOURNAL or config["headers_only"]
    assert subjects.QUEUE_CONSUMER in found[subjects.IN]
