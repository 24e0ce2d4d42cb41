// The monitoring task: what its numbers are made of, its rhythm, and what it refuses.
import { cpus, hostname, totalmem } from "node:os";
import { expect, test } from "vitest";
import { groupUsedBytes, memoryFacts } from "../../../services/worker/monitoring/memory-facts.ts";
import { monitoringTask } from "../../../services/worker/monitoring/monitoring-task.ts";
import { countersOfTable } from "../../../services/worker/monitoring/network-counters.ts";
import { busyPercents, type CoreTimes, percentOf, perSecond } from "../../../services/worker/monitoring/rates.ts";
import { callCapability } from "../../support/handler-call.ts";

const core = (user: number, idle: number, sys = 0): CoreTimes => ({ times: { user, nice: 0, sys, idle, irq: 0 } });

test.for<[string, CoreTimes[], CoreTimes[], number, number[]]>([
  ["idle", [core(5, 5)], [core(5, 105)], 0, [0]],
  ["one of two busy", [core(0, 0), core(0, 0)], [core(60, 0, 40), core(0, 100)], 50, [100, 0]],
  ["a third", [core(0, 0)], [core(1, 2)], 33.33, [33.33]],
  ["no time went by", [core(7, 7)], [core(7, 7)], 0, [0]],
  ["counters set back", [core(90, 90)], [core(1, 1)], 0, [0]],
  ["a core that came", [], [core(1, 1)], 50, [50]],
])("cores: %s", ([, before, after, percent, corePercents]) => {
  expect(busyPercents(before, after)).toEqual({ percent, corePercents });
});

test.for([
  [0, 1_000, 500, 2_000],
  [undefined, 1_000, 500, 0],
  [1_000, 10, 500, 0],
  [0, 10, 0, 0],
] as const)("from %s to %s in %s ms are %s a second", ([before, after, elapsedMs, rate]) => {
  expect(perSecond(before, after, elapsedMs)).toBe(rate);
});

test("a share is a percentage between 0 and 100", () => {
  expect([percentOf(1, 3), percentOf(5, 0), percentOf(-1, 5), percentOf(7, 5)]).toEqual([33.33, 0, 0, 100]);
});

test.for<[string, Parameters<typeof memoryFacts>[0], object]>([
  [
    "without a limit the host's",
    { hostTotal: 100, hostAvailable: 40, limit: 0, groupUsed: undefined },
    { totalBytes: 100, usedBytes: 60, availableBytes: 40, usedPercent: 60 },
  ],
  [
    "a limit beyond the host is none",
    { hostTotal: 100, hostAvailable: 40, limit: 2 ** 64, groupUsed: 1 },
    { totalBytes: 100, usedBytes: 60, availableBytes: 40, usedPercent: 60 },
  ],
  [
    "within a limit the group's",
    { hostTotal: 100, hostAvailable: 90, limit: 50, groupUsed: 20 },
    { totalBytes: 50, usedBytes: 20, availableBytes: 30, usedPercent: 40, limitBytes: 50 },
  ],
  [
    "a host that has less left than the limit allows",
    { hostTotal: 100, hostAvailable: 10, limit: 50, groupUsed: 20 },
    { totalBytes: 50, usedBytes: 40, availableBytes: 10, usedPercent: 80, limitBytes: 50 },
  ],
])("memory: %s", ([, readings, facts]) => {
  expect(memoryFacts(readings)).toEqual(facts);
});

test("what a control group uses leaves out files that can be read again", () => {
  expect(groupUsedBytes("1000\n", "anon 1\ninactive_file 300\n")).toBe(700);
  expect(groupUsedBytes("1000\n", "cache 1\ninactive_file 9\ntotal_inactive_file 300\n")).toBe(991);
  expect(groupUsedBytes("max\n", "inactive_file 300\n")).toBeUndefined();
  expect(groupUsedBytes("1000\n", "anon 1\n")).toBeUndefined();
});

test("interfaces are read from the kernel's table", () => {
  const table = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 100 2 0 0 0 0 0 0 200 2 0 0 0 0 0 0
  eth0:7845640732 1 0 0 0 0 0 0 20103866 4 0 0 0 0 0 0
`;
  expect(countersOfTable(table)).toEqual([
    { name: "lo", receivedBytes: 100, sentBytes: 200 },
    { name: "eth0", receivedBytes: 7_845_640_732, sentBytes: 20_103_866 },
  ]);
});

test.for<[unknown, string]>([
  [
    { samples: 100_001, intervalMs: 99, parts: ["cpu", "gpu"] },
    'samples: must be a whole number from 0 to 100000, is 100001; intervalMs: must be a whole number from 100 to 3600000, is 99; parts[1]: must be one of cpu, memory, swap, disks, load, network, is "gpu"',
  ],
  [{ every: 5 }, "every: unknown field; the fields are samples, intervalMs, parts"],
])("%j is refused", async ([input, message]) => {
  expect((await callCapability(monitoringTask, input)).failure).toBe(`INVALID_INPUT: invalid input: ${message}`);
});

test("without an input everything is measured once, of this very host", async () => {
  const { result, chunks, progress } = await callCapability(monitoringTask, undefined);
  expect(result).toMatchObject({
    samples: 1,
    sample: {
      index: 1,
      host: hostname(),
      cpu: { percent: expect.toSatisfy((percent: number) => percent >= 0 && percent <= 100) },
      memory: { totalBytes: expect.toSatisfy((bytes: number) => bytes > 0 && bytes <= totalmem()) },
      load: { oneMinute: expect.any(Number) },
    },
  });
  const { sample } = result as { sample: Record<string, object[]> };
  expect((sample["cpu"] as unknown as { corePercents: number[] }).corePercents).toHaveLength(cpus().length);
  expect(sample["disks"]!.length).toBeGreaterThan(0);
  expect(sample["network"]!.length).toBeGreaterThan(0);
  expect(chunks).toEqual([sample]);
  expect(progress).toEqual([{ fraction: 1, message: "sample 1 of 1" }]);
});

test("only the parts that were asked for are measured, as often as was asked", async () => {
  const { result, chunks } = await callCapability(monitoringTask, { samples: 3, intervalMs: 100, parts: ["load"] });
  expect(chunks.map((chunk) => (chunk as { index: number }).index)).toEqual([1, 2, 3]);
  expect(Object.keys(chunks[0] as object).toSorted()).toEqual([
    "disks",
    "host",
    "index",
    "load",
    "network",
    "time",
    "uptimeSeconds",
  ]);
  expect(result).toMatchObject({ samples: 3, sample: { index: 3, disks: [], network: [] } });
});

test("a task without an end goes on until it is canceled, also in the middle of an interval", async () => {
  const controller = new AbortController();
  const call = callCapability(
    monitoringTask,
    { samples: 0, intervalMs: 100, parts: ["load"] },
    {
      signal: controller.signal,
      deadline: new Date(Date.now() + 3_600_000),
      onChunk: (chunk) => {
        if ((chunk as { index: number }).index === 3) setImmediate(() => controller.abort(new Error("canceled")));
      },
    },
  );
  const { failure, chunks } = await call;
  expect(failure).toBe("HANDLER_ERROR: canceled");
  expect(chunks).toHaveLength(3);
});

test("a task without an end completes before its attempt is out of time", async () => {
  const deadline = new Date(Date.now() + 1_250);
  const { result } = await callCapability(
    monitoringTask,
    { samples: 0, intervalMs: 100, parts: ["load"] },
    { deadline },
  );
  expect(result).toMatchObject({ samples: expect.toSatisfy((samples: number) => samples >= 1) });
});
