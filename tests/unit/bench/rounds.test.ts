import { expect, test } from "vitest";
import { runRounds, type RoundsOptions } from "../../../bench/rounds.ts";
import { NotCarried, type RateScenario } from "../../../bench/scenarios/scenario.ts";
import type { Contender } from "../../../bench/support/contender.ts";

const NEVER = new Promise<never>(() => undefined);

function contender(id: string, parts: Partial<Contender> = {}): Contender {
  return {
    id,
    title: id,
    pids: {},
    failed: NEVER,
    track: () => ({ reach: async () => 0 }),
    settle: async () => undefined,
    [Symbol.asyncDispose]: async () => undefined,
    ...parts,
  };
}

function scenario(id: string, measure: RateScenario["measure"], parts: Partial<RateScenario> = {}): RateScenario {
  return {
    kind: "rate",
    id,
    title: id,
    unit: "tasks/s",
    durabilities: ["second"],
    runsOn: () => true,
    measure,
    ...parts,
  };
}

/** Runs scenarios on a mesh, a floor and a peer. */
function rounds(scenarios: RoundsOptions["scenarios"], parts: Partial<RoundsOptions> = {}) {
  const grpcLoad = { pid: 0, run: async () => 1, [Symbol.asyncDispose]: async () => undefined };
  return runRounds({
    mesh: contender("mesh"),
    others: [contender("floor"), contender("peer")],
    essential: ["mesh", "floor"],
    grpcLoad,
    scenarios,
    rounds: 2,
    tasks: 1_000,
    samples: 10,
    onProgress: () => undefined,
    ...parts,
  });
}

test("a scenario meets every contender in each round, each time in another order, and the warm-up does not count", async () => {
  const met: string[] = [];
  const [result] = await rounds([
    scenario("s", async ({ contender: { id }, amounts, prefix }) => {
      met.push(`${prefix} ${id} ${amounts.tasks}`);
      return { count: 100, tookMs: 50 };
    }),
  ]);
  expect(met).toEqual([
    "s-r0 mesh 250",
    "s-r0 floor 250",
    "s-r0 peer 250",
    "s-r1 floor 1000",
    "s-r1 peer 1000",
    "s-r1 mesh 1000",
    "s-r2 peer 1000",
    "s-r2 mesh 1000",
    "s-r2 floor 1000",
  ]);
  expect(result?.samples["peer"]?.map(({ perSecond }) => perSecond)).toEqual([2_000, 2_000]);
});

test("a contender that cannot do what a scenario asks for is no part of it", async () => {
  const onlyMesh = { runsOn: ({ id }: Contender) => id === "mesh" };
  const [result] = await rounds([scenario("s", async () => ({ count: 1, tookMs: 1 }), onlyMesh)]);
  expect(Object.keys(result?.samples ?? {})).toEqual(["mesh"]);
  expect(result?.refusals).toEqual({});
});

test("what would take more than 20 s by the warm-up is done in part, by that contender alone", async () => {
  const amounts = new Map<string, number>();
  await rounds([
    scenario("s", async ({ contender: { id }, amounts: { tasks } }) => {
      amounts.set(id, tasks);
      return { count: tasks, tookMs: id === "peer" ? 10_000 : 10 };
    }),
  ]);
  expect(Object.fromEntries(amounts)).toEqual({ mesh: 1_000, floor: 1_000, peer: 500 });
});

test("a peer that fails is ended and left out from there on; what it did before counts", async () => {
  let ended = 0;
  const end = async (): Promise<void> => {
    ended += 1;
  };
  const peer = contender("peer", { [Symbol.asyncDispose]: end });
  const good = scenario("good", async () => ({ count: 1, tookMs: 1 }));
  const bad = scenario("bad", async ({ contender: { id }, prefix }) => {
    if (id === "peer" && prefix === "bad-r2") throw new Error("out of memory\n  at somewhere");
    return { count: 1, tookMs: 1 };
  });
  const [first, second] = await rounds([good, bad], { others: [contender("floor"), peer] });
  expect(ended).toBe(1);
  expect(first?.samples["peer"]).toHaveLength(2);
  expect(second?.samples["peer"]).toBeUndefined();
  expect(second?.refusals).toEqual({ peer: "out of memory" });
  expect(second?.samples["mesh"]).toHaveLength(2);
});

test("a peer whose process ends is left out with the reason, without waiting for what it was asked", async () => {
  const failed = Promise.reject(new Error("the store ended with SIGKILL"));
  failed.catch(() => undefined);
  const stuck = scenario("s", ({ contender: { id } }) =>
    id === "peer" ? NEVER : Promise.resolve({ count: 1, tookMs: 1 }),
  );
  const [result] = await rounds([stuck], { others: [contender("peer", { failed })] });
  expect(result?.refusals).toEqual({ peer: "the store ended with SIGKILL" });
});

test("whoever does not carry a load is asked for it no more, but for other things", async () => {
  const asked: string[] = [];
  const heavy = scenario("heavy", async ({ contender: { id }, prefix }) => {
    if (id !== "peer") return { count: 1, tookMs: 1 };
    asked.push(prefix);
    throw new NotCarried("carried 90 of 3000");
  });
  const light = scenario("light", async () => ({ count: 1, tookMs: 1 }));
  const [first, second] = await rounds([heavy, light]);
  expect(asked).toEqual(["heavy-r0"]);
  expect(first?.refusals).toEqual({ peer: "carried 90 of 3000" });
  expect(second?.samples["peer"]).toHaveLength(2);
});

test.for(["mesh", "floor"])("the run fails with the %s", async (broken) => {
  const bad = scenario("s", async ({ contender: { id } }) => {
    if (id === broken) throw new Error("gone");
    return { count: 1, tookMs: 1 };
  });
  await expect(rounds([bad])).rejects.toThrow("gone");
});
