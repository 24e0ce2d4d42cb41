// The floor's reports: as heavy as an agent's, as plain as can be. One line each: the task, its delivery, filler.

/** One report. */
export interface FloorReport {
  readonly taskId: string;
  /** The reply subject of the delivery. */
  readonly delivery: string;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Writes reports, each of at least `size` bytes. */
export function encodeReports(reports: readonly FloorReport[], size: number): Uint8Array {
  return encoder.encode(reports.map(({ taskId, delivery }) => `${taskId} ${delivery} `.padEnd(size - 1)).join("\n"));
}

/** Reads them. */
export function decodeReports(bytes: Uint8Array): FloorReport[] {
  return decoder
    .decode(bytes)
    .split("\n")
    .map((line) => {
      const [taskId = "", delivery = ""] = line.split(" ", 2);
      return { taskId, delivery };
    });
}
