"""A Mycel agent on grpcio and nats-py, written from docs/agents.md and the protos alone.

Owns the wire: registers, logs in to NATS and renews what it logs in with, pulls, renews leases, reports, streams outputs. Knows nothing
of what its handlers do.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import os
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timezone
from typing import Any

import grpc
import nats
import nkeys
from google.protobuf import json_format, timestamp_pb2
from mycel.v1 import agent_pb2, agent_protocol_pb2, agent_service_pb2, agent_service_pb2_grpc
from mycel.v1 import output_pb2, payload_pb2, task_log_pb2, task_pb2
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import ConnectionClosedError, NoRespondersError, TimeoutError as NatsTimeoutError

log = logging.getLogger("mycel")

NO_ANSWER = (NatsTimeoutError, NoRespondersError)
REQUEST_TIMEOUT_S = 5
STANDING_PULL_S = 10
RETRY_S = 0.5
DEFAULT_ATTEMPT_LIMIT_S = 30
# What the broker delivers when a credential has ended is lost with the connection, until its lease ends.
LAST_DELIVERY_S = 1


class TerminalError(Exception):
    """Raised by a handler: the task fails for good, whatever attempts are left."""

    def __init__(self, message: str, reason: str = "HANDLER_FAILED") -> None:
        super().__init__(message)
        self.reason = reason


class Attempt:
    """One attempt at one task: what a handler gets, and what the agent reports about it."""

    def __init__(self, agent: Agent, lane: agent_pb2.Lane, delivery: Msg) -> None:
        dispatch = task_log_pb2.Dispatch.FromString(delivery.data)
        meta = delivery.metadata
        self._agent = agent
        self.delivery = delivery.reply
        self.run = f"{agent.agent_id}/{meta.sequence.consumer}.{meta.num_delivered}"
        self.task: task_pb2.Task = dispatch.task
        self.number = dispatch.attempt
        self.fence = dispatch.fence
        self.lease_token = dispatch.lease_token
        # A message older than its consumer may have been delivered under an earlier count.
        stale = meta.timestamp <= lane.create_time.ToDatetime(tzinfo=timezone.utc)
        self.redelivery = meta.num_delivered > 1 or stale
        self.outputs = 0
        self.output_sequence = 0
        self.start_time: timestamp_pb2.Timestamp | None = None
        self.handler: asyncio.Task[Any] | None = None

    @property
    def input(self) -> Any:
        """The task's JSON input."""
        return json_format.MessageToDict(self.task.input.json) if self.task.input.HasField("json") else None

    def stop(self) -> None:
        """Aborts the handler: the attempt is over, or no longer ours."""
        if self.handler is not None:
            self.handler.cancel()

    async def output(self, value: Any) -> None:
        """Streams a partial result, and returns when it is stored."""
        self.outputs += 1
        output = output_pb2.Output(index=self.outputs, chunk=to_payload(value))
        output.time.GetCurrentTime()
        # The delivery tells this run from another one of the same attempt, after a hand-back say.
        message_id = f"{self.task.task_id}/{self.number}/{self.run}/{self.outputs}"
        batch = output_pb2.OutputBatch(outputs=[output])
        self.output_sequence = await self._agent.publish_output(self, batch, message_id)


Handler = Callable[[Attempt], Awaitable[Any]]


class Agent:
    """Runs handlers, one for each task type, until it is told to stop."""

    def __init__(self, address: str, agent_id: str, name: str, handlers: dict[str, Handler], concurrency: int = 1):
        self._address = address
        # The private half never leaves this process.
        self._key = nkeys.from_seed(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER))
        self._handlers = handlers
        self._registration = agent_service_pb2.RegisterAgentRequest(
            agent_id=agent_id,
            name=name,
            concurrency=concurrency,
            capabilities=[agent_pb2.Capability(type=type) for type in handlers],
            public_key=self._key.public_key.decode(),
        )
        self._slots = asyncio.Semaphore(concurrency)
        self._running: set[Attempt] = set()
        self._unfinished: set[asyncio.Task[None]] = set()
        self._lanes: list[LanePuller] = []
        self._stopping: asyncio.Task[bool]
        self._mesh: agent_service_pb2_grpc.AgentServiceStub
        self._session: agent_pb2.AgentSession
        self._credential_ends = float("inf")
        self._half_spent = float("inf")
        self._retiring: set[asyncio.Task[None]] = set()
        self._over = False
        self.agent_id = agent_id
        self.nats: Client

    async def run(self, stop: asyncio.Event, ready: Callable[[], None] = lambda: None, grace_s: float = 10) -> None:
        """Works until `stop`, then lets handlers finish for `grace_s` and hands the rest back."""
        async with grpc.aio.insecure_channel(self._address) as channel:
            self._mesh = agent_service_pb2_grpc.AgentServiceStub(channel)
            await self._register()
            self.nats = await self._connect()
            self._stopping = asyncio.create_task(stop.wait())
            heartbeats = asyncio.create_task(self._heartbeats())
            renewals = asyncio.create_task(self._renewals())
            work = asyncio.create_task(self._work())
            ready()
            await asyncio.wait({work, self._stopping}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({asyncio.create_task(self._finish(work))}, timeout=grace_s)
            for attempt in list(self._running):
                await self.report(attempt, hand_back=agent_protocol_pb2.HandBack(started=True))
                attempt.stop()
            heartbeats.cancel()
            renewals.cancel()
            await self._mesh.DeregisterAgent(agent_service_pb2.DeregisterAgentRequest(agent_id=self.agent_id))
            self._over = True
            await self.nats.drain()
            for retiring in self._retiring:
                retiring.cancel()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Starts what must be finished before the agent is."""
        task = asyncio.create_task(work)
        self._unfinished.add(task)
        task.add_done_callback(self._unfinished.discard)
        return task

    async def _finish(self, work: asyncio.Task[None]) -> None:
        for lane in self._lanes:
            lane.hand_back()
        await work
        await asyncio.gather(*self._unfinished)

    async def _connect(self) -> Client:
        """Logs in to NATS with the newest credential, if the session has one."""
        credential: dict[str, Any] = {}
        if self._session.credential:
            credential["user_jwt_cb"] = lambda: self._session.credential.encode()
            credential["signature_cb"] = lambda nonce: base64.b64encode(self._key.sign(nonce.encode()))
        client = await nats.connect(
            list(self._session.nats_urls),
            name=self.agent_id,
            inbox_prefix=self._session.inbox_prefix,
            max_reconnect_attempts=-1,
            reconnected_cb=self._on_reconnect,
            **credential,
        )
        await client.subscribe(self._session.signal_subject, cb=self._on_signal)
        return client

    async def _renewals(self) -> None:
        """Goes on over a new connection with a new credential when half of the old one's time is over."""
        while True:
            wait_s = self._half_spent - time.monotonic()
            if wait_s > 0:
                await asyncio.sleep(min(wait_s, RETRY_S))
                continue
            try:
                answer = await self._mesh.RegisterAgent(self._registration, timeout=REQUEST_TIMEOUT_S)
                self._session = answer.session
                old, self.nats = self.nats, await self._connect()
                self._retiring.add(asyncio.create_task(self._retire(old, self._credential_ends)))
                self._note_credential()
            except (grpc.aio.AioRpcError, nats.errors.Error, OSError) as error:
                log.warning("credential not renewed: %s", error)
                self._half_spent = time.monotonic() + RETRY_S

    async def _retire(self, client: Client, ends: float) -> None:
        """Closes a connection when nothing can come any more of what was asked there."""
        over = time.monotonic() + STANDING_PULL_S + REQUEST_TIMEOUT_S
        await asyncio.sleep(max(0, min(over, ends - LAST_DELIVERY_S / 2) - time.monotonic()))
        await client.close()

    def pull_limit_s(self) -> float:
        """For how long a pull may stand that is sent now."""
        return self._credential_ends - LAST_DELIVERY_S - time.monotonic()

    def _note_credential(self) -> None:
        session = self._session
        if session.credential:
            # The mesh's clock need not be this machine's.
            life_s = (session.credential_expire_time.ToDatetime() - session.create_time.ToDatetime()).total_seconds()
            self._credential_ends = time.monotonic() + life_s
            self._half_spent = time.monotonic() + life_s / 2

    async def _register(self) -> None:
        answer = await self._mesh.RegisterAgent(self._registration, timeout=REQUEST_TIMEOUT_S)
        self._session = answer.session
        self._note_credential()
        self.agent_id = self._registration.agent_id = answer.agent.agent_id
        for lane in self._lanes:
            lane.hand_back()
        lanes = sorted(answer.session.lanes, key=lambda lane: -lane.priority)
        self._lanes = [LanePuller(self, lane) for lane in lanes]

    async def _heartbeats(self) -> None:
        while True:
            await asyncio.sleep(self._session.heartbeat_interval.ToTimedelta().total_seconds())
            beat = agent_protocol_pb2.HeartbeatRequest(running=len(self._running), draining=self._stopping.done())
            try:
                message = await self.request(self._session.heartbeat_subject, beat.SerializeToString())
                if message is None:
                    log.warning("no heartbeat")
                elif not agent_protocol_pb2.HeartbeatResponse.FromString(message.data).registered:
                    await self._register()
            except grpc.aio.AioRpcError as error:
                log.warning("not registered again: %s", error)

    async def _work(self) -> None:
        """Fills the slots, highest priority first, until the agent is told to stop."""
        await self._slots.acquire()
        while (attempt := await self._next()) is not None:
            self.spawn(self._attempt(attempt)).add_done_callback(lambda _: self._slots.release())
            if self._slots.locked():
                # What a standing pull brings now could not start soon: somebody else may have it.
                for lane in self._lanes:
                    lane.hand_back()
            await self._slots.acquire()

    async def _next(self) -> Attempt | None:
        while not self._stopping.done():
            for lane in self._lanes:
                if (attempt := await lane.now()) is not None:
                    return attempt
            # Nothing anywhere: ask everywhere, and look again in order when anything happens.
            asked = [lane.standing() for lane in self._lanes]
            await asyncio.wait([*asked, self._stopping], return_when=asyncio.FIRST_COMPLETED)
        return None

    async def _attempt(self, attempt: Attempt) -> None:
        self._running.add(attempt)
        renewing = asyncio.create_task(self.renew(attempt))
        try:
            # Starting at once, without asking, is allowed for first deliveries; to ask always is simpler and as right.
            begin = agent_protocol_pb2.Begin(redelivery=attempt.redelivery)
            answer = await self.report(attempt, begin=begin)
            if answer.WhichOneof("outcome") != "accepted":
                return
            attempt.number, attempt.fence = answer.accepted.attempt, answer.accepted.fence
            attempt.lease_token = answer.accepted.lease_token
            attempt.start_time = timestamp_pb2.Timestamp()
            attempt.start_time.GetCurrentTime()
            settlement = await self._handle(attempt)
            if settlement is not None:
                await self.report(attempt, **settlement)
        except ConnectionClosedError:
            log.warning("task %s: stopped before its end was reported", attempt.task.task_id)
        finally:
            renewing.cancel()
            self._running.discard(attempt)

    async def _handle(self, attempt: Attempt) -> dict[str, Any] | None:
        """Calls the handler and says what to report; nothing when it was aborted."""
        limit_s = attempt.task.timeouts.start_to_close.ToTimedelta().total_seconds() or DEFAULT_ATTEMPT_LIMIT_S
        attempt.handler = asyncio.create_task(self._handlers[attempt.task.type](attempt))
        done, _ = await asyncio.wait({attempt.handler}, timeout=limit_s)
        if not done:
            attempt.handler.cancel()
            message = f"the attempt took longer than {limit_s} s"
            return fail(message, "START_TO_CLOSE_TIMEOUT", source=task_pb2.FAILURE_SOURCE_TIMEOUT)
        if attempt.handler.cancelled():
            return None
        error = attempt.handler.exception()
        if isinstance(error, TerminalError):
            return fail(str(error), error.reason, retryable=False)
        if error is not None:
            return fail(str(error) or type(error).__name__, "HANDLER_ERROR", details=traceback_of(error))
        return {"complete": agent_protocol_pb2.Complete(result=to_payload(attempt.handler.result()))}

    async def renew(self, attempt: Attempt) -> None:
        """Keeps the lease while the handler runs; stops the handler when this process stood still for too long."""
        lease_s = self._session.lease_duration.ToTimedelta().total_seconds()
        while True:
            renewed = time.monotonic()
            await asyncio.sleep(lease_s / 3)
            if time.monotonic() - renewed > lease_s:
                attempt.stop()
                return
            with contextlib.suppress(ConnectionClosedError):
                await self.nats.publish(attempt.delivery, b"+WPI")

    async def request(
        self, subject: str, body: bytes, timeout_s: float = REQUEST_TIMEOUT_S, **options: Any
    ) -> Msg | None:
        """Asks over the connection of the moment; none if that brings no answer, after a pause."""
        try:
            return await self.nats.request(subject, body, timeout=timeout_s, **options)
        except NO_ANSWER:
            pass
        except ConnectionClosedError:
            # The broker closes a connection whose credential has ended; there will be another one.
            if self._over:
                raise
        await asyncio.sleep(RETRY_S)
        return None

    async def report(self, attempt: Attempt, **kind: Any) -> agent_protocol_pb2.ReportResult:
        """Reports until a coordinator answers; the same report may be sent any number of times."""
        report = agent_protocol_pb2.Report(
            task_id=attempt.task.task_id,
            attempt=attempt.number,
            fence=attempt.fence,
            lease_token=attempt.lease_token,
            delivery=attempt.delivery,
            start_time=attempt.start_time,
            output_sequence=attempt.output_sequence,
            **kind,
        )
        request = agent_protocol_pb2.ReportRequest(reports=[report]).SerializeToString()
        while True:
            message = await self.request(self._session.report_subject, request)
            if message is None:
                continue
            result = agent_protocol_pb2.ReportResponse.FromString(message.data).results[0]
            if result.WhichOneof("outcome") != "unavailable":
                log.info("task %s: %s: %s", report.task_id, report.WhichOneof("kind"), result.WhichOneof("outcome"))
                return result
            await asyncio.sleep(result.unavailable.retry_delay.ToTimedelta().total_seconds())

    async def publish_output(self, attempt: Attempt, batch: output_pb2.OutputBatch, message_id: str) -> int:
        """Publishes until the broker has stored the batch; returns its sequence."""
        template = self._session.output_subject_template
        subject = template.replace("{task_id}", attempt.task.task_id).replace("{attempt}", str(attempt.number))
        headers = {"Nats-Msg-Id": message_id}
        while True:
            message = await self.request(subject, batch.SerializeToString(), headers=headers)
            if message is None:
                continue
            answer = json.loads(message.data)
            if "error" not in answer:
                return answer["seq"]
            log.warning("task %s: output not stored: %s", attempt.task.task_id, answer["error"])
            await asyncio.sleep(RETRY_S)

    async def _on_reconnect(self) -> None:
        # The broker has forgotten whatever was asked over the old connection.
        for lane in self._lanes:
            lane.forget()

    async def _on_signal(self, message: Msg) -> None:
        signal = agent_protocol_pb2.AgentSignal.FromString(message.data)
        for attempt in self._running:
            if (attempt.task.task_id, attempt.number) == (signal.cancel.task_id, signal.cancel.attempt):
                attempt.stop()


class LanePuller:
    """Pulls from one queue at one priority."""

    def __init__(self, agent: Agent, lane: agent_pb2.Lane) -> None:
        self._agent = agent
        self._lane = lane
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{lane.stream}.{lane.consumer}"
        self._standing: asyncio.Task[Attempt | None] | None = None

    async def now(self) -> Attempt | None:
        """What is there now, if anything. A standing pull that has brought nothing yet says that nothing is."""
        if self._standing is None:
            return await self._pull({"batch": 1, "no_wait": True}, REQUEST_TIMEOUT_S)
        if not self._standing.done():
            return None
        pull, self._standing = self._standing, None
        return None if pull.cancelled() else pull.result()

    def standing(self) -> asyncio.Task[Attempt | None]:
        """A pull that waits for the next delivery, or for some seconds."""
        if self._standing is None:
            stands_s = max(0.1, min(STANDING_PULL_S, self._agent.pull_limit_s()))
            request = {"batch": 1, "expires": int(stands_s * 1_000_000_000)}
            self._standing = asyncio.create_task(self._pull(request, stands_s + REQUEST_TIMEOUT_S))
        return self._standing

    def forget(self) -> None:
        """Ends the standing pull if it has brought nothing."""
        if self._standing is not None:
            self._standing.cancel()

    def hand_back(self) -> None:
        """Gives back what the standing pull brings, now or later."""
        if self._standing is not None:
            self._standing.add_done_callback(lambda pull: self._agent.spawn(self._give_back(pull)))
            self._standing = None

    async def _give_back(self, pull: asyncio.Task[Attempt | None]) -> None:
        attempt = None if pull.cancelled() else pull.result()
        if attempt is not None:
            await self._agent.report(attempt, hand_back=agent_protocol_pb2.HandBack(started=False))

    async def _pull(self, request: dict[str, Any], timeout_s: float) -> Attempt | None:
        # A delivery comes under the subject of its message, so that the shared inbox of nats-py would not find its request.
        message = await self._agent.request(self._subject, json.dumps(request).encode(), timeout_s, old_style=True)
        if message is None:
            return None
        status = (message.headers or {}).get("Status")
        if status == "409":
            await asyncio.sleep(RETRY_S)
        return Attempt(self._agent, self._lane, message) if status is None else None


def to_payload(value: Any) -> payload_pb2.Payload:
    """A JSON value as a payload."""
    payload = payload_pb2.Payload()
    json_format.ParseDict(value, payload.json)
    return payload


def fail(
    message: str,
    reason: str,
    retryable: bool = True,
    source: task_pb2.FailureSource = task_pb2.FAILURE_SOURCE_AGENT,
    details: str = "",
) -> dict[str, Any]:
    """The report of a failed attempt."""
    failure = task_pb2.TaskFailure(
        message=message[:4096], reason=reason, retryable=retryable, source=source, details=details[:16384]
    )
    return {"fail": agent_protocol_pb2.Fail(failure=failure)}


def traceback_of(error: BaseException) -> str:
    """The stack trace of an error."""
    return "".join(traceback.format_exception(error))
