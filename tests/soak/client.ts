// The clients of the soak as a process: carries out operations at a steady rate from `start` to `stop`, and then says how they ended.
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "../../sdk/client/index.ts";
import { OPERATIONS } from "./operations.ts";

/** What the client process is told. */
export type ClientOrder = "start" | "stop";

/** What it says once everything that it began has ended. */
export interface ClientReport {
  readonly kind: "soak-client";
  /** How often each operation was done. */
  readonly done: Readonly<Record<string, number>>;
  /** What went wrong, by operation and message. */
  readonly failed: Readonly<Record<string, number>>;
  /** Operations that were due while too many were open, and left out. */
  readonly skipped: number;
}

/** More open operations than this mean that the mesh is slower than the rate; the load must not pile up then. */
const MAX_OPEN = 400;

const urls = (process.env["MYCEL_URL"] ?? "").split(",");
const perSecond = Number(process.env["SOAK_RATE"] ?? 1);
const shares = OPERATIONS.reduce((sum, { share }) => sum + share, 0);
const client = createClient({ urls });

/** One round of the load. */
class Load {
  readonly #done: Record<string, number> = {};
  readonly #failed: Record<string, number> = {};
  readonly #open = new Set<Promise<void>>();
  readonly #loop: Promise<void>;
  #skipped = 0;
  #stopping = false;

  constructor() {
    this.#loop = this.#run();
  }

  async stop(): Promise<ClientReport> {
    this.#stopping = true;
    await this.#loop;
    await Promise.all(this.#open);
    return { kind: "soak-client", done: this.#done, failed: this.#failed, skipped: this.#skipped };
  }

  async #run(): Promise<void> {
    const startMs = performance.now();
    for (let begun = 0; !this.#stopping; await sleep(10)) {
      const due = Math.floor(((performance.now() - startMs) * perSecond) / 1_000);
      for (; begun < due; begun += 1) this.#begin(begun);
    }
  }

  #begin(number: number): void {
    if (this.#open.size >= MAX_OPEN) {
      this.#skipped += 1;
      return;
    }
    // A stride that shares no factor with the sum spreads the operations evenly.
    let place = (number * 37) % shares;
    const operation = OPERATIONS.find(({ share }) => (place -= share) < 0);
    if (operation === undefined) return;
    const { name, run } = operation;
    const running = run({ client, urls }).then(
      () => count(this.#done, name),
      (error: unknown) => count(this.#failed, `${name}: ${error instanceof Error ? error.message : String(error)}`),
    );
    this.#open.add(running);
    void running.then(() => this.#open.delete(running));
  }
}

function count(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}

let load: Load | undefined;
process.on("message", (order) => {
  if (order === "start") load ??= new Load();
  if (order !== "stop") return;
  const ended = load?.stop();
  load = undefined;
  void ended?.then((report) => process.send?.(report));
});
process.once("disconnect", () => process.exit(0));
// The probe lets go of the channel; here it is what the process lives for.
process.channel?.ref();
process.stdout.write(`${JSON.stringify({ msg: "ready" })}\n`);
