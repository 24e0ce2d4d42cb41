// A made-up mesh as the dashboard's views take it, and a frame of it as lines of text.
import { stripVTControlCharacters } from "node:util";
import { renderToString } from "ink";
import { AgentState } from "../../../gen/mycel/v1/agent_pb.ts";
import { emptySnapshot, type Snapshot, type Told } from "../../../cli/top/data/snapshot.ts";
import { START } from "../../../cli/top/state/model.ts";
import { frame } from "../../../cli/top/views/frame.ts";
import type { View } from "../../../cli/top/views/view.ts";
import { aFailure, anAgent, aQueue, PICTURE_MS, someMetrics } from "../../support/mesh-picture.ts";

/** What a part told just now. */
export function told<T>(value: T): Told<T> {
  return { value, error: undefined, served: true };
}

/** The mesh. */
export const PICTURE: Snapshot = {
  ...emptySnapshot(PICTURE_MS),
  coordinators: [
    { url: "http://mesh-1:8080", status: "serving", detail: "", breaker: "closed" },
    { url: "http://mesh-2:8080", status: "unreachable", detail: "connection refused", breaker: "open" },
  ],
  agents: told([
    { agent: anAgent("alpha"), condition: "active" },
    { agent: anAgent("beta", { running: 8 }), condition: "active" },
    { agent: anAgent("gamma", { state: AgentState.DRAINING, running: 1 }, 900), condition: "draining" },
    { agent: anAgent("delta", { running: 0 }, 42_000), condition: "lost" },
  ]),
  queues: told([
    aQueue("models", [0, 0, 12_345, 7], {
      pause: { reason: "deploying the model", pauseTime: { seconds: BigInt(PICTURE_MS / 1000 - 180) } },
    }),
    aQueue("resize-image", [2, 0, 31, 0]),
    aQueue("forgotten", [0, 0, 1, 0], { agentCount: 0, inFlightCount: 0n }),
    aQueue("thumbnails", [0, 0, 0, 0], { inFlightCount: 0n }),
  ]),
  open: told({
    total: 12_399,
    byState: new Map([
      ["submitted", 12_385],
      ["working", 12],
      ["backing_off", 2],
    ]),
    asOf: undefined,
  }),
  metrics: told(someMetrics()),
  pulse: told(someMetrics(2)),
  history: Array.from({ length: 90 }, (_, i) => ({
    submitted: 40 + 30 * Math.sin(i / 7),
    ended: 40 + 25 * Math.sin(i / 7 - 1),
  })),
  failures: told([
    aFailure("t-9f31c0", 1_500, "no such image: cat.png"),
    aFailure("t-77aa02", 65_000, "the model said \u001b[31mno\u001b[0m\nand 図 another 画像"),
    aFailure("t-1200ff", 7_200_000, "out of memory", "t-9f31c0"),
  ]),
};

/** A view of the mesh. */
export function aView(columns: number, rows: number, fields: Partial<View> = {}): View {
  return {
    snapshot: PICTURE,
    model: START,
    size: { columns, rows },
    nowMs: PICTURE_MS,
    clock: "12:34:56",
    refreshMs: 2_000,
    windowMs: 300_000,
    followed: undefined,
    calls: [],
    ...fields,
  };
}

/** A frame as lines of text. */
export function linesOf(view: View): string[] {
  return stripVTControlCharacters(renderToString(frame(view), { columns: view.size.columns })).split("\n");
}
