"""Python's eventsourcing on PostgreSQL, served to the benchmark: `serve.py URL`.

It does what the benchmark's own programs do, a line at a time: src/contender.rs says what, src/moments.rs in which files.
"""

import json
import struct
import sys
import threading
import time
from urllib.parse import urlsplit
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.persistence import StoredEvent

# How often it is looked whether the follower has everything, and how long nothing comes before nothing is expected.
LOOK_S, STILL_S = 0.01, 2.0
# Events in a page of the notification log, and how soon it is asked again where there were none.
PAGE_EVENTS, POLL_S = 1_000, 0.001

NOTE = "the quick brown fox jumps over the lazy dog and the slow black cat looks at both of them until noon"


class Log(Application):
    """Its notification log has pages that a follower is not held up by; they have 10 notifications otherwise."""

    log_section_size = PAGE_EVENTS


def application(url):
    """An application with the pool that it has unless it is told."""
    parts = urlsplit(url)
    return Log(env={
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parts.path.lstrip("/"),
        "POSTGRES_HOST": parts.hostname,
        "POSTGRES_PORT": str(parts.port),
        "POSTGRES_USER": parts.username,
        "POSTGRES_PASSWORD": "",
    })


class Writer(threading.Thread):
    """One that appends to an aggregate of its own, whose version it knows."""

    def __init__(self, recorder, number, events, seconds, barrier):
        super().__init__(daemon=True)
        self.recorder, self.number, self.events, self.seconds, self.barrier = recorder, number, events, seconds, barrier
        self.moments, self.error = [], None

    def run(self):
        self.barrier.wait()
        try:
            self.write()
        except Exception as error:
            self.error = error

    def write(self):
        version, end = 0, time.monotonic() + self.seconds
        while time.monotonic() < end:
            numbers = range((self.number << 32) + version, (self.number << 32) + version + self.events)
            stored = [self.stored(number, version + 1 + at) for at, number in enumerate(numbers)]
            called = time.monotonic_ns()
            self.recorder.insert_events(stored)
            took, now = time.monotonic_ns() - called, time.time_ns() // 1_000
            self.moments.extend((number, now, took) for number in numbers)
            version += self.events

    def stored(self, number, version):
        entry = {
            "stream": f"writer-{self.number}",
            "student": f"student:{self.number}",
            "course": f"course:{number % 1_000}",
            "number": number,
            "note": NOTE,
        }
        return StoredEvent(UUID(int=self.number), version, "StudentEnrolled", json.dumps(entry).encode())


class Follower(threading.Thread):
    """One that reads the notification log after the last notification that it had."""

    def __init__(self, log):
        super().__init__(daemon=True)
        self.log, self.moments, self.error = log, [], None

    def run(self):
        try:
            self.follow()
        except Exception as error:
            self.error = error

    def follow(self):
        last = None
        while True:
            notifications = self.log.select(start=last, limit=PAGE_EVENTS, inclusive_of_start=False)
            for notification in notifications:
                number = json.loads(notification.state)["number"]
                self.moments.append((number, time.time_ns() // 1_000, 0))
                last = notification.id
            if not notifications:
                time.sleep(POLL_S)

    def wait(self, events):
        """Returns when so many events came, each counted once, or no more come."""
        last, since = 0, time.monotonic()
        while True:
            now = len(self.moments)
            if last < now:
                last, since = now, time.monotonic()
            has_all = events <= now and events <= len({number for number, _, _ in self.moments[:now]})
            if has_all or STILL_S < time.monotonic() - since:
                return now
            if self.error:
                raise self.error
            time.sleep(LOOK_S)


def save(moments, file):
    with open(file, "wb") as output:
        output.write(b"".join(struct.pack("<QQQ", *moment) for moment in moments))


def sample(**measured):
    """An answer, with all that it has to have."""
    nothing = dict.fromkeys(["calls", "events", "bytes", "seconds", "p50_us", "p99_us", "anonymous_kib", "missed"], 0)
    return {"Sample": {**nothing, **measured}}


def write(recorder, first, writers, events, seconds, moments):
    barrier = threading.Barrier(writers + 1)
    threads = [Writer(recorder, number, events, seconds, barrier) for number in range(first, first + writers)]
    for thread in threads:
        thread.start()
    barrier.wait()
    start = time.monotonic()
    for thread in threads:
        thread.join()
        if thread.error:
            raise thread.error
    took = time.monotonic() - start
    acknowledged = [moment for thread in threads for moment in thread.moments]
    save(acknowledged, moments)
    return sample(calls=len(acknowledged) // events, events=len(acknowledged), seconds=took)


class Served:
    """The application, and who follows it."""

    def __init__(self, url):
        self.application, self.follower = application(url), None

    def obey(self, command):
        if command in ("Follow", "Close"):
            if command == "Follow":
                self.follower = Follower(self.application.notification_log)
                self.follower.start()
            return sample()
        (name, arguments), = command.items()
        if name == "Write":
            return write(self.application.recorder, **arguments)
        if name == "Followed":
            events = self.follower.wait(arguments["events"])
            save(self.follower.moments[:events], arguments["moments"])
            return sample(events=events)
        raise ValueError(f"eventsourcing does not know {name}")


def answer(reply):
    print("@answer " + json.dumps(reply), flush=True)


def main():
    try:
        served = Served(sys.argv[1])
    except Exception as error:
        return answer({"Failed": repr(error)})
    answer(sample())
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer(served.obey(command))
        except Exception as error:
            answer({"Failed": repr(error)})
        if command == "Close":
            break


main()
