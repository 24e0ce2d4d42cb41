// What a failed try means, and how long to wait.
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { richError } from "../../../lib/rpc/rich-error.ts";
import { LONGEST_DELAY_MS, delayBeforeTry, judge } from "../../../sdk/client/retry.ts";

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
    ["a message that is too large", new ConnectError("x", Code.ResourceExhausted, fromServer), { kind: "final" }],
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

  test("grows to its bound and stays there", () => {
    const delays = Array.from({ length: 60 }, (_, index) => delayBeforeTry({ kind: "busy" }, index + 1, 1, 0.999));
    for (const [index, delay] of delays.entries()) {
      expect(delay).toBeGreaterThanOrEqual(delays[index - 1] ?? 0);
      expect(delay).toBeLessThanOrEqual(LONGEST_DELAY_MS);
    }
    expect(delays.at(-1)).toBeGreaterThan(LONGEST_DELAY_MS * 0.9);
  });
});
