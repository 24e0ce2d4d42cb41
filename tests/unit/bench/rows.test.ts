import { expect, test } from "vitest";
import { cpuRowsOf, ratiosOf, rowsOf } from "../../../bench/report/rows.ts";
import type { Sample, ScenarioResult } from "../../../bench/rounds.ts";
import { IDLE } from "../../../bench/scenarios/latency.ts";
import { BULK } from "../../../bench/scenarios/throughput.ts";

function rate(perSecond: number, cpuMicros: Sample["cpuMicros"] = {}): Sample {
  return { perSecond, samplesMs: [], cpuMicros };
}

function times(...samplesMs: number[]): Sample {
  return { perSecond: undefined, samplesMs, cpuMicros: {} };
}

function result(
  scenario: ScenarioResult["scenario"],
  samples: ScenarioResult["samples"],
  refusals: ScenarioResult["refusals"] = {},
): ScenarioResult {
  return { scenario, samples, refusals };
}

test("a rate's ratio is the median of the ratios of its rounds, not the ratio of the medians", () => {
  const samples = { mesh: [rate(10), rate(20), rate(30)], floor: [rate(100), rate(40), rate(50)] };
  const [row] = rowsOf("second", [result(BULK, samples)]);
  expect(row).toMatchObject({ id: "bulk", durability: "second", unit: "tasks/s" });
  expect(row?.cells["mesh"]).toMatchObject({ value: 20, ratio: { median: 1, min: 1, max: 1 } });
  expect(row?.cells["floor"]).toEqual({ value: 50, rounds: [100, 40, 50], ratio: { median: 0.5, min: 0.1, max: 0.6 } });
});

test("a latency's percentiles are those of all samples together, its ratio the median of the rounds' own", () => {
  const samples = { mesh: [times(2, 2), times(10, 20)], floor: [times(1, 1), times(1, 2)] };
  const rows = rowsOf("second", [result(IDLE, samples)]);
  expect(rows.map(({ id }) => id)).toEqual(["idle.p50", "idle.p99", "idle.p99.9"]);
  const [p50, p99] = rows;
  expect(p50?.cells["mesh"]?.value).toBe(2);
  expect(p50?.cells["floor"]).toMatchObject({ value: 1, ratio: { median: 6, min: 2, max: 10 } });
  expect(p99?.cells["mesh"]?.value).toBe(20);
  expect(p99?.cells["floor"]).toMatchObject({ value: 2, ratio: { median: 6, min: 2, max: 10 } });
});

test("whoever did not carry a load stands in the row with its reason, and without a number", () => {
  const rows = rowsOf("second", [result(IDLE, { mesh: [times(1)] }, { temporal: "carried 90" })]);
  for (const row of rows) {
    expect(row.refusals).toEqual({ temporal: "carried 90" });
    expect(row.cells["temporal"]).toBeUndefined();
  }
});

test("where the mesh did not carry a load there is nothing to compare", () => {
  const [row] = rowsOf("second", [result(IDLE, { floor: [times(1)] }, { mesh: "carried 90" })]);
  expect(row?.cells["floor"]).toEqual({ value: 1, rounds: [1], ratio: undefined });
});

test("ratios are taken between the same rounds of two rows", () => {
  expect(ratiosOf([10, 30], [20, 10])).toEqual({ median: 1.75, min: 0.5, max: 3 });
});

test("processor time is the median of the rounds, by process, and only of rates", () => {
  const samples = { mesh: [rate(1, { client: 9 }), rate(1, { client: 1 }), rate(1, { client: 5 })] };
  const rows = cpuRowsOf("always", [result(BULK, samples), result(IDLE, { mesh: [times(1)] })]);
  expect(rows).toEqual([{ id: "bulk", title: BULK.title, durability: "always", cells: { mesh: { client: 5 } } }]);
});
