import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { silentLogger } from "../../../lib/core/logger.ts";
import { AgentError } from "../../../sdk/agent/agent-error.ts";
import { Registration } from "../../../sdk/agent/registration.ts";
import type { Session } from "../../../sdk/agent/session.ts";

const LIFETIME_MS = 100_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

function session(lifetimeMs: number | undefined): Session {
  const credential =
    lifetimeMs === undefined ? undefined : { jwt: "jwt", lifetimeMs, endsMs: performance.now() + lifetimeMs };
  return {
    agentId: "a",
    natsUrls: [],
    lanes: [],
    inboxPrefix: "",
    reportSubject: "",
    heartbeatSubject: "",
    signalSubject: "",
    outputTemplate: "",
    leaseMs: 1,
    heartbeatIntervalMs: 1,
    createMs: 0,
    credential,
  };
}

function refusal(reason: string, code: Code): AgentError {
  const info = create(ErrorInfoSchema, { reason, domain: "mycel.dev" });
  const cause = new ConnectError("no", code, undefined, [{ desc: ErrorInfoSchema, value: info }]);
  return new AgentError("REGISTRATION_REFUSED", "refused", { cause });
}

/** A registration that is answered in this order, then with good sessions. */
function opened(first: Session, answers: readonly AgentError[] = []) {
  const waiting = [...answers];
  const stopping = new AbortController();
  const asked: number[] = [];
  const onSession = vi.fn(async (_session: Session) => {});
  const onRevoked = vi.fn((_error: AgentError) => {});
  const registration = new Registration({
    agentId: "a",
    session: first,
    register: async () => {
      asked.push(performance.now());
      const answer = waiting.shift();
      if (answer !== undefined) throw answer;
      return session(first.credential?.lifetimeMs);
    },
    onSession,
    onRevoked,
    signal: stopping.signal,
    logger: silentLogger,
  });
  return { registration, asked, onSession, onRevoked, stop: () => stopping.abort() };
}

test("a credential is renewed when about half of its time is over, again and again, until the agent stops", async () => {
  const { asked, onSession, stop } = opened(session(LIFETIME_MS));
  const startMs = performance.now();
  await vi.advanceTimersByTimeAsync(2.4 * LIFETIME_MS);
  expect(asked.length).toBeGreaterThanOrEqual(4);
  for (const [i, atMs] of asked.entries()) {
    const since = atMs - (asked[i - 1] ?? startMs);
    expect(since).toBeGreaterThanOrEqual(0.44 * LIFETIME_MS);
    expect(since).toBeLessThanOrEqual(0.56 * LIFETIME_MS);
  }
  expect(onSession).toHaveBeenCalledTimes(asked.length);
  stop();
  await vi.advanceTimersByTimeAsync(2 * LIFETIME_MS);
  expect(onSession).toHaveBeenCalledTimes(asked.length);
});

test("without a credential nothing is renewed, and a refusal waits for the next sign of life", async () => {
  const { registration, asked } = opened(session(undefined), [refusal("ACTION_NOT_ALLOWED", Code.PermissionDenied)]);
  await vi.advanceTimersByTimeAsync(LIFETIME_MS);
  void registration.again("forgotten");
  await vi.advanceTimersByTimeAsync(LIFETIME_MS);
  expect(asked).toHaveLength(1);
});

test("a refused renewal is tried again, with growing pauses, well before the credential ends", async () => {
  const no = refusal("CREDENTIAL_INVALID", Code.Unauthenticated);
  const { asked, onSession } = opened(session(LIFETIME_MS), [no, no, no]);
  await vi.advanceTimersByTimeAsync(0.9 * LIFETIME_MS);
  const pauses = asked.slice(1).map((atMs, i) => Math.round((atMs - asked[i]!) / 1_000));
  expect(pauses.slice(0, 3)).toEqual([2, 4, 8]);
  expect(onSession).toHaveBeenCalled();
});

test("while its id is somebody else's, an agent says nothing, so that its registration can end and begin anew", async () => {
  const taken = refusal("AGENT_ID_TAKEN", Code.AlreadyExists);
  const { registration, onSession } = opened(session(undefined), [taken, taken]);
  expect(registration.mayBeat).toBe(true);
  void registration.again("forgotten");
  await vi.advanceTimersByTimeAsync(100);
  expect(registration.mayBeat).toBe(false);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(onSession).toHaveBeenCalledTimes(1);
  expect(registration.mayBeat).toBe(true);
});

test("an agent that was revoked is told so once, and asks no more", async () => {
  const revoked = refusal("AGENT_REVOKED", Code.PermissionDenied);
  const { registration, asked, onRevoked, stop } = opened(session(LIFETIME_MS), [revoked]);
  onRevoked.mockImplementation(stop);
  void registration.again("NATS does not let the agent in");
  await vi.advanceTimersByTimeAsync(3 * LIFETIME_MS);
  expect(onRevoked).toHaveBeenCalledExactlyOnceWith(revoked);
  expect(asked).toHaveLength(1);
});

test("what is found wanting while the answer is on its way is asked for once more", async () => {
  const { registration, asked } = opened(session(undefined));
  void registration.again("a consumer is missing");
  void registration.again("another one is missing");
  void registration.again("and another one");
  await vi.advanceTimersByTimeAsync(10_000);
  expect(asked).toHaveLength(2);
});
