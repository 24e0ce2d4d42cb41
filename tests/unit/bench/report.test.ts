import { describe, expect, test } from "vitest";
import { barChart } from "../../../bench/report/bar-chart.ts";
import { panelsOf } from "../../../bench/report/panels.ts";
import { type BenchReport, measuredText, targetTable } from "../../../bench/report/report.ts";
import { ratiosOf, type Row } from "../../../bench/report/rows.ts";
import { judged, TARGETS } from "../../../bench/report/targets.ts";
import { between } from "../../../bench/report/write.ts";
import { ENVIRONMENT } from "./environment.ts";

function cell(value: number) {
  return { value, rounds: [value], ratio: ratiosOf([12_000], [value]) };
}

const BULK: Row = {
  id: "bulk",
  title: "bulk <1,000>",
  durability: "second",
  unit: "tasks/s",
  cells: { mesh: cell(12_000), bullmq: cell(6_000) },
  refusals: { temporal: "carried 90 tasks/s" },
};

function report(parts: Partial<BenchReport> = {}): BenchReport {
  const titles = { second: { mesh: "the mesh", bullmq: "BullMQ 5 on Redis 8", temporal: "Temporal" } };
  const verdicts = judged(TARGETS, { rows: [BULK], figures: [], absent: {} });
  return { environment: ENVIRONMENT, titles, rows: [BULK], cpu: [], scale: [], absent: {}, verdicts, ...parts };
}

describe("the tables", () => {
  test("show each contender's number, the ratio beside it, and why one is missing", () => {
    const text = measuredText(report());
    expect(text).toContain("- bullmq: BullMQ 5 on Redis 8");
    expect(text).toMatch(/\| bulk <1,000> +\| +12,000 \| +6,000 \| tasks\/s \|/);
    expect(text).toMatch(/\| bulk <1,000> +\| 2\.00 \(2\.00–2\.00\) \|/);
    expect(text).toContain("\n- bulk: temporal: carried 90 tasks/s\n");
  });

  test("show the processor time of each process that a contender has", () => {
    const cells = {
      mesh: { client: 11, server: 114.4, worker: 24, store: 61 },
      bullmq: { client: 9, worker: 30, store: 40 },
    };
    const text = measuredText(report({ cpu: [{ id: "bulk", title: "bulk", durability: "second", cells }] }));
    expect(text).toMatch(/\| bulk +\| 210 = 11 \+ 114 \+ 24 \+ 61 \| 79 = 9 \+ – \+ 30 \+ 40 \|/);
  });

  test("say once for all percentiles why a contender has none", () => {
    const rows = ["idle.p50", "idle.p99"].map((id): Row => ({ ...BULK, id, unit: "ms" }));
    const text = measuredText(report({ rows }));
    expect(text.split("- idle: temporal: carried 90 tasks/s")).toHaveLength(2);
  });

  test("leave out a durability at which nothing was measured, and a contender without a number", () => {
    const text = measuredText(report());
    expect(text).not.toContain("`always`");
    expect(text).not.toContain("- temporal: Temporal");
  });

  test("name what was absent, and the figures of the mesh alone", () => {
    const figures = [{ id: "a.b", title: "one stream", value: 7.5, unit: "KiB", detail: "of 10,000" }];
    const scale = [{ id: "a", title: "Many streams", figures }];
    const text = measuredText(report({ scale, absent: { "second pg-boss": "no postgres" } }));
    expect(text).toContain("- second pg-boss left out: no postgres");
    expect(text).toContain("## At scale: Many streams");
    expect(text).toMatch(/\| one stream \| +7\.50 \| KiB \| of 10,000 \|/);
  });

  test("say of every target what was wanted and whether it was met", () => {
    const lines = targetTable(report().verdicts).split("\n");
    expect(lines).toHaveLength(TARGETS.length + 2);
    expect(lines.find((line) => line.includes("BullMQ addBulk, durability second"))).toMatch(
      /≥ 1\.5 × \| +2\.00 × \| 2\.00–2\.00 \| met +\| 12,000 tasks\/s to 6,000 tasks\/s \|/,
    );
    expect(lines.find((line) => line.includes("StreamResults"))).toMatch(/≤ 10 KiB \| +– \| +\| not measured/);
  });
});

describe("the plot", () => {
  test("has a panel for each row that can be compared, with a bar for each contender", () => {
    const lonely: Row = { ...BULK, id: "stream", cells: { mesh: cell(1) } };
    const panels = panelsOf([BULK, lonely]);
    expect(panels).toHaveLength(1);
    expect(panels[0]?.bars).toEqual([
      { label: "mesh", value: 12_000, text: "12,000", role: "ours" },
      { label: "bullmq", value: 6_000, text: "6,000", role: "other" },
    ]);
  });

  test("draws bars in proportion to their values, and escapes what it writes", () => {
    const svg = barChart("a < b & c", panelsOf([BULK]));
    expect(svg).toContain("a &lt; b &amp; c");
    const [ours, other] = [...svg.matchAll(/<rect class="(?:ours|other)" .*? width="([\d.]+)"/g)].map((found) =>
      Number(found[1]),
    );
    expect(ours! / other!).toBeCloseTo(2, 1);
  });

  test("cuts off times that would leave nothing to see of the others", () => {
    const times: Row = {
      ...BULK,
      id: "idle.p50",
      unit: "ms",
      cells: { mesh: cell(2), "pg-boss": cell(500), floor: cell(1) },
    };
    const [panel] = panelsOf([times]);
    expect(panel?.limit).toBe(24);
    const lengths = [
      ...barChart("head", [panel!]).matchAll(/<rect class="(?:ours|other|limit)" .*? width="([\d.]+)"/g),
    ];
    const [mesh, boss, floor] = lengths.map((found) => Number(found[1]));
    expect(boss! / mesh!).toBeCloseTo(12, 0);
    expect(mesh! / floor!).toBeCloseTo(2, 1);
  });

  test("leaves out a bar without a number", () => {
    const bars = [{ label: "nothing", value: Number.NaN, text: "?", role: "other" }] as const;
    expect(barChart("head", [{ title: "panel", bars }])).not.toContain("NaN");
  });
});

describe("the documentation", () => {
  const MARKED = "before\n<!-- the run: written by npm run bench -- --write -->\nold\n<!-- the run: end -->\nafter\n";

  test("is written between its marks and nowhere else", () => {
    const text = between(MARKED, "new", "doc.md");
    expect(text).toMatch(/^before\n<!--.*-->\n\nnew\n\n<!-- the run: end -->\nafter\n$/);
    expect(between(text, "newer", "doc.md")).toContain("\n\nnewer\n\n");
  });

  test("is left alone if it has no marks", () => {
    expect(() => between("nothing", "new", "doc.md")).toThrow("doc.md has no marks to write between");
  });
});
