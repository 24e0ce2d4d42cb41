// What a failed try means, and how long to wait.
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { richError } from "../../../lib/rpc/rich-error.ts";
import { RECONNECT, delayBeforeTry, isRefusal, judge, verdictOn } from "../../../sdk/client/retry.ts";

const fromServer = { "content-type": "application/grpc+proto" };

describe("judge", () => {
  test.for<[string, unknown, ReturnType<typeof judge>]>([
    [
      "a cut HTTP/2 stream",
      new ConnectError("http/2 stream closed with error code CANCEL (0x8)", Code.Canceled),
      { kind: "lost" },
    ],
    ["a reset connection", new ConnectError("read ECONNRESET", Code.Aborted), { kind: "lost" }],
    ["a refused connection", new ConnectError("connect ECONNREFUSED", Code.Unavailable), { kind: "lost" }],
    ["missing trailers", new ConnectError("protocol error: missing trailer", Code.Internal), { kind: "lost" }],
    [
      "a system error",
      new ConnectError("x", Code.Internal, undefined, undefined, Object.assign(new Error("x"), { code: "EPIPE" })),
      { kind: "lost" },
    ],
    ["the server's own cancellation", new ConnectError("canceled", Code.Canceled, fromServer), { kind: "final" }],
    [
      "the server's own conflict",
      richError({ code: Code.Aborted, reason: "CONFLICT", message: "x" }),
      { kind: "final" },
    ],
    ["the server's own fault", new ConnectError("bug", Code.Internal, fromServer), { kind: "final" }],
    ["an encoding error of the client", new ConnectError("cannot encode", Code.Internal), { kind: "final" }],
    ["a passed deadline", new ConnectError("the operation timed out", Code.DeadlineExceeded), { kind: "final" }],
    [
      "a draining server",
      richError({ code: Code.Unavailable, reason: "DRAINING", message: "x", retryDelayMs: 5000 }),
      { kind: "leaving" },
    ],
    [
      "a lost broker",
      richError({ code: Code.Unavailable, reason: "BROKER_UNAVAILABLE", message: "x", retryDelayMs: 700 }),
      { kind: "busy", delayMs: 700 },
    ],
    ["UNAVAILABLE without a delay", new ConnectError("x", Code.Unavailable, fromServer), { kind: "busy" }],
    [
      "a full queue",
      richError({ code: Code.ResourceExhausted, reason: "QUEUE_FULL", message: "x", retryDelayMs: 10 }),
      { kind: "busy", delayMs: 10 },
    ],
    [
      "a message that is too large",
      richError({ code: Code.ResourceExhausted, reason: "MESSAGE_TOO_LARGE", message: "x" }),
      { kind: "final" },
    ],
    ["an answer that is too large for this side", new ConnectError("x", Code.ResourceExhausted), { kind: "final" }],
    ["a proxy's rate limit", new ConnectError("x", Code.ResourceExhausted, fromServer), { kind: "busy" }],
    [
      "a wrong request",
      richError({ code: Code.InvalidArgument, reason: "INVALID_REQUEST", message: "x" }),
      { kind: "final" },
    ],
    ["anything else", new TypeError("x"), { kind: "final" }],
  ])("takes %s for what it is", ([, error, meaning]) => {
    expect(judge(error, false)).toEqual(meaning);
    expect(judge(error, true)).toEqual({ kind: "final" });
  });
});

describe("delayBeforeTry", () => {
  test("tries the other servers at once", () => {
    expect(delayBeforeTry({ kind: "lost" }, 1, 3, 0.5)).toBe(0);
    expect(delayBeforeTry({ kind: "leaving" }, 2, 3, 0.5)).toBe(0);
    expect(delayBeforeTry({ kind: "lost" }, 3, 3, 0.5)).toBeGreaterThan(0);
    expect(delayBeforeTry({ kind: "lost" }, 1, 1, 0)).toBeGreaterThan(0);
  });

  test("never comes back sooner than asked, and spreads those that were asked together", () => {
    expect(delayBeforeTry({ kind: "busy", delayMs: 1000 }, 1, 1, 0)).toBe(1000);
    expect(delayBeforeTry({ kind: "busy", delayMs: 1000 }, 9, 3, 0.999)).toBeCloseTo(1199.8);
  });

  test("waits 1, 2 and 4 s, give or take a quarter, for a server that does not say how long", () => {
    const backoff = { initialMs: 1_000, maximumMs: 4_000 };
    const waits = (random: number): number[] =>
      [1, 2, 3, 4].map((tries) => delayBeforeTry({ kind: "busy" }, tries, 1, random, backoff));
    expect(waits(0)).toEqual([750, 1_500, 3_000, 3_000]);
    expect(waits(0.5)).toEqual([1_000, 2_000, 4_000, 4_000]);
    expect(waits(0.999).map(Math.round)).toEqual([1_250, 2_499, 4_998, 4_998]);
  });

  test("connects anew at growing intervals up to a bound, and stays there", () => {
    const delays = Array.from({ length: 60 }, (_, index) => delayBeforeTry({ kind: "lost" }, index + 1, 1, 0.999));
    for (const [index, delay] of delays.entries()) {
      expect(delay).toBeGreaterThanOrEqual(delays[index - 1] ?? 0);
      expect(delay).toBeLessThanOrEqual(RECONNECT.maximumMs);
    }
    expect(delays.at(-1)).toBeGreaterThan(RECONNECT.maximumMs * 0.9);
  });
});

const deadline = new ConnectError("the operation timed out", Code.DeadlineExceeded);

describe("verdictOn", () => {
  test.for<[string, unknown, ReturnType<typeof verdictOn>]>([
    ["a refused connection", new ConnectError("connect ECONNREFUSED", Code.Unavailable), "out"],
    ["a cut stream", new ConnectError("http/2 stream closed with error code CANCEL (0x8)", Code.Canceled), "out"],
    ["a proxy in front of nobody", new ConnectError("HTTP 503", Code.Unavailable, { server: "proxy" }), "out"],
    ["silence until the deadline", deadline, "out"],
    [
      "a lost broker",
      richError({ code: Code.Unavailable, reason: "BROKER_UNAVAILABLE", message: "x", retryDelayMs: 700 }),
      "alive",
    ],
    ["a full queue", richError({ code: Code.ResourceExhausted, reason: "QUEUE_FULL", message: "x" }), "alive"],
    ["a draining server", richError({ code: Code.Unavailable, reason: "DRAINING", message: "x" }), "alive"],
    ["the server's own deadline", new ConnectError("x", Code.DeadlineExceeded, fromServer), "alive"],
    ["the server's own fault", new ConnectError("bug", Code.Internal, fromServer), "alive"],
    ["an encoding error of the client", new ConnectError("cannot encode", Code.Internal), "unknown"],
    ["a bug of the caller", new TypeError("x"), "unknown"],
  ])("takes %s for what it says about the endpoint", ([, error, verdict]) => {
    expect(verdictOn(error, false, 30_000)).toBe(verdict);
    expect(verdictOn(error, true, 30_000)).toBe("unknown");
  });

  test("learns nothing from a silence that is too short to tell", () => {
    expect(verdictOn(deadline, false, 999)).toBe("unknown");
    expect(verdictOn(deadline, false, 1_000)).toBe("out");
  });
});

test.for<[string, unknown, boolean]>([
  ["a full queue", richError({ code: Code.ResourceExhausted, reason: "QUEUE_FULL", message: "x" }), true],
  ["a draining server", richError({ code: Code.Unavailable, reason: "DRAINING", message: "x" }), true],
  ["a wrong request", richError({ code: Code.InvalidArgument, reason: "INVALID_REQUEST", message: "x" }), true],
  [
    "a broker that is away, which may have stored it",
    richError({ code: Code.Unavailable, reason: "BROKER_UNAVAILABLE", message: "x" }),
    false,
  ],
  ["a cut stream", new ConnectError("http/2 stream closed with error code CANCEL (0x8)", Code.Canceled), false],
  ["a passed deadline", deadline, false],
  ["a fault of the server", new ConnectError("bug", Code.Internal, fromServer), false],
])("knows after %s whether anything was begun", ([, error, refused]) => {
  expect(isRefusal(error)).toBe(refused);
});
