// Every transition of a circuit breaker, on a clock that is moved by hand.
import { describe, expect, test } from "vitest";
import { type BreakerChange, resolveBreakerOptions } from "../../../../sdk/client/resilience/breaker-options.ts";
import { EndpointBreaker, type Verdict } from "../../../../sdk/client/resilience/endpoint-breaker.ts";
import type { BreakerOptions } from "../../../../sdk/client/resilience/breaker-options.ts";
import { handClock } from "../../../support/hand-clock.ts";

function setup(given: BreakerOptions = {}) {
  const clock = handClock();
  const changes: BreakerChange[] = [];
  const options = resolveBreakerOptions({ failures: 3, patienceMs: 0, ...given })!;
  const breaker = new EndpointBreaker({ url: "http://a", options, clock, onChange: (change) => changes.push(change) });
  const judged = (verdict: Verdict) => (): Verdict => verdict;
  const fails = async (verdict: Verdict = "out", message = "connection refused"): Promise<void> => {
    const failed = breaker.run(() => Promise.reject(new Error(message)), judged(verdict));
    await expect(failed).rejects.toThrow(message);
  };
  const answers = async (): Promise<void> => {
    await expect(breaker.run(() => Promise.resolve("answer"), judged("unknown"))).resolves.toBe("answer");
  };
  const open = async (): Promise<void> => {
    for (let i = 0; i < 3; i += 1) await fails();
  };
  return { clock, changes, breaker, judged, fails, answers, open };
}

describe("a closed circuit", () => {
  test("opens after so many failures in a row, and says why", async () => {
    const { breaker, fails, changes } = setup();
    await fails();
    await fails();
    expect(breaker.state).toBe("closed");
    expect(breaker.admits).toBe(true);
    await fails();
    expect(breaker.state).toBe("open");
    expect(breaker.admits).toBe(false);
    expect(breaker.lastFailure).toBe("connection refused");
    expect(changes).toEqual([{ url: "http://a", from: "closed", to: "open", because: "connection refused" }]);
  });

  test.for<[string, (parts: ReturnType<typeof setup>) => Promise<void>]>([
    ["an answer", ({ answers }) => answers()],
    ["a refusal, which somebody has to be there for", ({ fails }) => fails("alive", "queue full")],
  ])("begins to count anew after %s", async ([, between]) => {
    const parts = setup();
    await parts.fails();
    await parts.fails();
    await between(parts);
    await parts.fails();
    await parts.fails();
    expect(parts.breaker.state).toBe("closed");
  });

  test("does not count what says nothing about the endpoint", async () => {
    const { breaker, fails } = setup();
    for (let i = 0; i < 20; i += 1) await fails("unknown", "canceled by the caller");
    expect(breaker.state).toBe("closed");
    await fails();
    await fails();
    await fails("unknown", "canceled by the caller");
    await fails();
    expect(breaker.state).toBe("open");
  });

  test("opens when more than the given share of the recent tries failed", async () => {
    const { breaker, fails, answers } = setup({ failures: 1_000, failureRatio: 0.5 });
    for (let i = 0; i < 10; i += 1) {
      await answers();
      await fails();
    }
    expect(breaker.state).toBe("closed");
    await fails();
    expect(breaker.state).toBe("open");
  });

  test("waits out an outage that is shorter than its patience", async () => {
    const { clock, breaker, fails, answers } = setup({ patienceMs: 10_000 });
    for (let i = 0; i < 50; i += 1) await fails();
    clock.advance(9_999);
    await fails();
    expect(breaker.state).toBe("closed");
    await answers();
    clock.advance(1);
    await fails();
    expect(breaker.state).toBe("closed");
  });

  test("opens when the outage lasts for as long as its patience", async () => {
    const { clock, breaker, fails } = setup({ patienceMs: 10_000 });
    for (let i = 0; i < 3; i += 1) await fails();
    clock.advance(10_000);
    await fails();
    expect(breaker.state).toBe("open");
  });

  test("does not take two outages with peace in between for a long one", async () => {
    const { clock, breaker, fails, answers } = setup({ patienceMs: 10_000, failureRatio: 0.9 });
    for (let i = 0; i < 30; i += 1) await fails();
    await answers();
    clock.advance(60_000);
    await fails();
    expect(breaker.state).toBe("closed");
  });
});

describe("an open circuit", () => {
  test("is half-open after 30 s, and says until when it keeps calls away", async () => {
    const { clock, breaker, open } = setup();
    await open();
    expect(breaker.opensInMs).toBe(30_000);
    clock.advance(29_999);
    expect([breaker.state, breaker.admits, breaker.opensInMs]).toEqual(["open", false, 1]);
    clock.advance(1);
    expect([breaker.state, breaker.admits, breaker.opensInMs]).toEqual(["half_open", true, 0]);
  });

  test("is not hurried by a wall clock that jumps", async () => {
    const { clock, breaker, open } = setup();
    await open();
    const jumped = { ...clock, now: () => clock.now() + 3_600_000 };
    expect(jumped.now()).toBeGreaterThan(clock.now());
    expect(breaker.state).toBe("open");
  });

  test("is half-open at once when the endpoint seems to be back", async () => {
    const { breaker, open, answers } = setup();
    await open();
    breaker.hasten();
    expect([breaker.state, breaker.admits]).toEqual(["half_open", true]);
    await answers();
    expect(breaker.state).toBe("closed");
  });

  test("is closed by a reset, with nothing remembered", async () => {
    const { breaker, open, fails, changes } = setup();
    await open();
    breaker.reset();
    expect([breaker.state, breaker.admits, breaker.lastFailure]).toEqual(["closed", true, ""]);
    expect(changes.at(-1)).toEqual({ url: "http://a", from: "open", to: "closed", because: "" });
    await fails();
    await fails();
    expect(breaker.state).toBe("closed");
  });

  test("is left alone by calls that were under way when it was reset", async () => {
    const { breaker, judged, open } = setup();
    const late = Array.from({ length: 5 }, () => Promise.withResolvers<never>());
    const calls = late.map(({ promise }) => breaker.run(() => promise, judged("out")));
    await open();
    breaker.reset();
    for (const { reject } of late) reject(new Error("lost"));
    await Promise.allSettled(calls);
    expect(breaker.state).toBe("closed");
  });
});

describe("a half-open circuit", () => {
  test("lets one call through at a time", async () => {
    const { clock, breaker, judged, open } = setup();
    await open();
    clock.advance(30_000);
    const trial = Promise.withResolvers<string>();
    const running = breaker.run(() => trial.promise, judged("out"));
    expect([breaker.state, breaker.admits]).toEqual(["half_open", false]);
    trial.resolve("answer");
    await running;
    expect([breaker.state, breaker.admits]).toEqual(["closed", true]);
  });

  test("lets another call through after a second, which closes it without waiting for the first", async () => {
    const { clock, breaker, judged, open, answers, fails, changes } = setup();
    await open();
    clock.advance(30_000);
    const trial = Promise.withResolvers<never>();
    const running = breaker.run(() => trial.promise, judged("out"));
    clock.advance(999);
    expect(breaker.admits).toBe(false);
    clock.advance(1);
    expect(breaker.admits).toBe(true);
    await fails("out");
    expect(breaker.state).toBe("half_open");
    clock.advance(1_000);
    await answers();
    expect(breaker.state).toBe("closed");
    expect(changes.map(({ to }) => to)).toEqual(["open", "half_open", "closed"]);
    // What the first comes to says nothing any more.
    trial.reject(new Error("lost"));
    await expect(running).rejects.toThrow("lost");
    expect([breaker.state, breaker.admits]).toEqual(["closed", true]);
  });

  test("closes after a call that went well, and opens as slowly as ever", async () => {
    const { clock, breaker, open, answers, fails, changes } = setup();
    await open();
    clock.advance(30_000);
    await answers();
    expect(changes.map(({ from, to }) => `${from} to ${to}`)).toEqual([
      "closed to open",
      "open to half_open",
      "half_open to closed",
    ]);
    await fails();
    await fails();
    expect(breaker.state).toBe("closed");
  });

  test("closes after a refusal", async () => {
    const { clock, breaker, open, fails } = setup();
    await open();
    clock.advance(30_000);
    await fails("alive", "queue full");
    expect(breaker.state).toBe("closed");
  });

  test.for<Verdict>(["out", "unknown"])("opens for another 30 s after a call that came to: %s", async (verdict) => {
    const { clock, breaker, open, fails } = setup();
    await open();
    clock.advance(30_000);
    await fails(verdict, "still away");
    expect(breaker.state).toBe("open");
    expect(breaker.opensInMs).toBe(30_000);
    expect(breaker.lastFailure).toBe("still away");
    clock.advance(30_000);
    expect(breaker.admits).toBe(true);
  });
});
