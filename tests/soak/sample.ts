// One look at every process of the soak: what it holds, asked of itself and of the system.
import { readdir, readFile } from "node:fs/promises";
import type { TestProcess } from "../support/processes.ts";
import type { TestNats } from "../support/nats.ts";
import { PROBE, type ProbeAnswer } from "./probe.ts";

/** What one process holds, by name of the resource; bytes and counts. */
export type Holdings = Readonly<Record<string, number>>;

/** A look at all of them. */
export interface Sample {
  /** Seconds since the start. */
  readonly second: number;
  /** What went on: `warm-up`, `baseline`, `load` or `end`. */
  readonly phase: string;
  readonly processes: Readonly<Record<string, Holdings>>;
}

const PROBE_WITHIN_MS = 20_000;

/** Looks at a Node process that has the probe loaded. */
export async function lookAtNode(member: TestProcess): Promise<Holdings> {
  const { heapBytes, externalBytes, handles } = await ask(member);
  return { "heap after gc": heapBytes, external: externalBytes, handles, ...(await lookFromOutside(member.pid)) };
}

/** Looks at the broker. */
export async function lookAtNats(nats: TestNats): Promise<Holdings> {
  const varz = await page(`${nats.monitorUrl}/varz`);
  const jsz = await page(`${nats.monitorUrl}/jsz`);
  return {
    connections: numberIn(varz, "connections"),
    subscriptions: numberIn(varz, "subscriptions"),
    streams: numberIn(jsz, "streams"),
    consumers: numberIn(jsz, "consumers"),
    messages: numberIn(jsz, "messages"),
    stored: numberIn(jsz, "bytes"),
    ...(await lookFromOutside(nats.process.pid)),
  };
}

async function lookFromOutside(pid: number): Promise<Holdings> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const rssKib = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
  const threads = Number(/^Threads:\s+(\d+)$/m.exec(status)?.[1] ?? 0);
  return { rss: rssKib * 1_024, "file descriptors": (await readdir(`/proc/${pid}/fd`)).length, threads };
}

async function ask(member: TestProcess): Promise<ProbeAnswer> {
  const { child } = member;
  return await new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer);
      child.off("message", onMessage);
    };
    const onMessage = (message: unknown): void => {
      if (!isAnswer(message)) return;
      end();
      resolve(message);
    };
    const timer = setTimeout(() => {
      end();
      reject(new Error(`process ${member.pid} did not say what it holds:\n${member.output().slice(-2_000)}`));
    }, PROBE_WITHIN_MS);
    child.on("message", onMessage);
    child.send(PROBE);
  });
}

function isAnswer(message: unknown): message is ProbeAnswer {
  return typeof message === "object" && message !== null && "kind" in message && message.kind === PROBE;
}

async function page(url: string): Promise<Record<string, unknown>> {
  const response = await fetch(url, { headers: { connection: "close" } });
  const value: unknown = await response.json();
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function numberIn(fields: Record<string, unknown>, name: string): number {
  const value = fields[name];
  return typeof value === "number" ? value : 0;
}
