// The line of look-ups: how many at once, one for each name, and what becomes of those that nobody waits for any more.
import { expect, test } from "vitest";
import { type LineLookup, openLookupLine } from "../../../lib/outbound/lookup-line.ts";

const GONE = new Error("gone");

/** A line of two, and look-ups that end when they are told to. */
function setup(): {
  readonly look: LineLookup;
  readonly begun: string[];
  readonly end: (host: string, answer?: string | Error) => void;
} {
  const begun: string[] = [];
  const open = new Map<string, PromiseWithResolvers<readonly string[]>>();
  const look = openLookupLine((host) => {
    begun.push(host);
    const answer = Promise.withResolvers<readonly string[]>();
    open.set(host, answer);
    return answer.promise;
  });
  const end = (host: string, answer: string | Error = "192.0.2.1"): void => {
    if (answer instanceof Error) open.get(host)?.reject(answer);
    else open.get(host)?.resolve([answer]);
  };
  return { look, begun, end };
}

const forever = (): AbortSignal => new AbortController().signal;

test("two names are looked up at once, and the others in their order", async () => {
  const { look, begun, end } = setup();
  const answers = ["a", "b", "c", "d"].map((host) => look(host, forever()));
  expect(begun).toEqual(["a", "b"]);
  end("b", "192.0.2.2");
  expect(await answers[1]).toEqual(["192.0.2.2"]);
  expect(begun).toEqual(["a", "b", "c"]);
  end("a");
  await answers[0];
  expect(begun).toEqual(["a", "b", "c", "d"]);
  end("c");
  end("d");
  expect(await Promise.all(answers)).toHaveLength(4);
});

test("a name is looked up once for all who ask at the time, and anew for those who ask later", async () => {
  const { look, begun, end } = setup();
  const answers = [look("a", forever()), look("a", forever())];
  end("a", "192.0.2.3");
  expect(await Promise.all(answers)).toEqual([["192.0.2.3"], ["192.0.2.3"]]);
  expect(begun).toEqual(["a"]);
  const later = look("a", forever());
  expect(begun).toEqual(["a", "a"]);
  end("a", "192.0.2.4");
  expect(await later).toEqual(["192.0.2.4"]);
});

test("a failure is that of all who asked, and the line goes on", async () => {
  const { look, begun, end } = setup();
  const failing = [look("a", forever()), look("a", forever())];
  const [other, next] = [look("b", forever()), look("c", forever())];
  end("a", new Error("SERVFAIL"));
  for (const answer of failing) await expect(answer).rejects.toThrow("SERVFAIL");
  expect(begun).toEqual(["a", "b", "c"]);
  end("b");
  end("c");
  await Promise.all([other, next]);
});

test("who gives up goes at once, and a look-up without anybody still counts until it ends", async () => {
  const { look, begun, end } = setup();
  const caller = new AbortController();
  const given = ["a", "b"].map((host) => look(host, caller.signal));
  const waiting = look("c", forever());
  caller.abort(GONE);
  for (const answer of given) await expect(answer).rejects.toBe(GONE);
  expect(begun).toEqual(["a", "b"]);
  const joined = look("a", forever());
  end("a", new Error("SERVFAIL"));
  await expect(joined).rejects.toThrow("SERVFAIL");
  expect(begun).toEqual(["a", "b", "c"]);
  end("c");
  await waiting;
  end("b", new Error("nobody hears of it"));
});

test("a name for which nobody waits any more leaves the line, unless somebody else asked for it", async () => {
  const { look, begun, end } = setup();
  const caller = new AbortController();
  const first = ["a", "b"].map((host) => look(host, forever()));
  const left = [look("c", caller.signal), look("d", caller.signal)];
  const stays = look("d", forever());
  caller.abort(GONE);
  for (const answer of left) await expect(answer).rejects.toBe(GONE);
  end("a");
  end("b");
  await Promise.all(first);
  expect(begun).toEqual(["a", "b", "d"]);
  end("d");
  await stays;
});

test("who has given up already begins nothing", async () => {
  const { look, begun } = setup();
  await expect(look("a", AbortSignal.abort(GONE))).rejects.toBe(GONE);
  expect(begun).toEqual([]);
});
