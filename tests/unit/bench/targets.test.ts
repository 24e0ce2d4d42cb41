import { describe, expect, test } from "vitest";
import { ratiosOf, type Row } from "../../../bench/report/rows.ts";
import { judged, type Measured, type Target, TARGETS } from "../../../bench/report/targets.ts";
import { OTHERS } from "../../../bench/contenders/all.ts";
import { SCENARIOS } from "../../../bench/scenarios/all.ts";

const NOTHING: Measured = { rows: [], figures: [], absent: {} };

function target(id: string): Target {
  const found = TARGETS.find((each) => each.id === id);
  if (found === undefined) throw new Error(`no target ${id}`);
  return found;
}

function row(id: string, rates: Readonly<Record<string, readonly number[]>>, refusals: Row["refusals"] = {}): Row {
  const cells = Object.fromEntries(
    Object.entries(rates).map(([contender, rounds]) => {
      return [contender, { value: rounds[0] ?? 0, rounds, ratio: ratiosOf(rates["mesh"] ?? [], rounds) }];
    }),
  );
  return { id, title: id, durability: "second", unit: "tasks/s", cells, refusals };
}

describe("a target that is a ratio", () => {
  test.for([
    ["bulk-bullmq-second", "bulk", [150, 160], [100, 100], "met", 1.55],
    ["bulk-bullmq-second", "bulk", [149, 149], [100, 100], "missed", 1.49],
    ["idle", "idle.p50", [1.5, 1.5], [1, 1], "met", 1.5],
    ["idle", "idle.p50", [1.6, 1.6], [1, 1], "missed", 1.6],
  ] as const)("%s: %s of %j to %j is %s", ([id, rowId, mesh, bullmq, verdict, value]) => {
    const rows = [row(rowId, { mesh, bullmq })];
    const [result] = judged([target(id)], { ...NOTHING, rows });
    expect(result).toMatchObject({ verdict, value: expect.closeTo(value) });
  });

  test("may compare two rows: submissions with empty calls of another", () => {
    const rows = [
      row("served-submit-256", { mesh: [3_000] }),
      row("served-empty-256", { mesh: [9_000], "grpc-js": [6_000] }),
    ];
    const [result] = judged([target("unary")], { ...NOTHING, rows });
    expect(result).toMatchObject({ verdict: "met", value: 0.5, detail: "3,000 tasks/s to 6,000 tasks/s" });
  });

  test("takes the durability that it names", () => {
    const rows = [row("bulk", { mesh: [3], bullmq: [1] })];
    const [result] = judged([target("bulk-bullmq-always")], { ...NOTHING, rows });
    expect(result?.verdict).toBe("not measured");
  });
});

describe("a target that was not measured says why", () => {
  test.for([
    [{}, {}, "not part of this run"],
    [{}, { "second bullmq": "no redis-server" }, "no redis-server"],
    [{ bullmq: "carried 900" }, {}, "carried 900"],
  ] as const)("refusals %j, absent %j", ([refusals, absent, detail]) => {
    const rows = [row("half-load.p99", { mesh: [1] }, refusals)];
    const [result] = judged([target("half-load")], { ...NOTHING, rows, absent });
    expect(result).toMatchObject({ verdict: "not measured", value: undefined, detail });
  });

  test("a measurement at scale is absent by its own id", () => {
    const [result] = judged([target("backlog")], { ...NOTHING, absent: { backlog: "no room on the disk" } });
    expect(result).toMatchObject({ verdict: "not measured", detail: "no room on the disk" });
  });
});

test("a figure of a measurement at scale is judged by its value", () => {
  const figures = [{ id: "idle-streams.memory", title: "", value: 10.1, unit: "KiB", detail: "10,000 streams" }];
  const [result] = judged([target("idle-stream")], { ...NOTHING, figures });
  expect(result).toMatchObject({ verdict: "missed", value: 10.1, detail: "10,000 streams" });
});

test("every target names a scenario that exists and a contender that is known", () => {
  const scenarios = SCENARIOS.map(({ id }) => id);
  const others = OTHERS.map(({ id }) => id);
  for (const { id, source } of TARGETS) {
    if (source.kind !== "ratio") continue;
    for (const rowId of [source.row, source.contenderRow ?? source.row]) {
      expect(scenarios, id).toContain(rowId.split(".", 1)[0]);
    }
    expect(others, id).toContain(source.contender);
  }
  expect(new Set(TARGETS.map(({ id }) => id)).size).toBe(TARGETS.length);
});
