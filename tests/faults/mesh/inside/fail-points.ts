// Ends this process at a chosen step of what it does towards the outside, as a crash would: just before the step, or when it is on the
// wire and nobody here has seen an answer to it.
import { writeSync } from "node:fs";
import process from "node:process";

/** Where a process dies. */
export interface FailPoint {
  /** A step by its name in steps.ts, a group of them (`event` is every `event.…`), or `*` for any. */
  readonly step: string;
  readonly when: "before" | "sent";
  /** The how-manieth such step it is, from 1, counted from when the fail point was set. */
  readonly at: number;
}

const counts = new Map<string, number>();
let armed: FailPoint | undefined;
let left = 0;
let dying = false;

/** Sets the fail point; the one before is forgotten. */
export function setFailPoint(point: FailPoint | undefined): void {
  armed = point;
  left = point?.at ?? 0;
}

/** A message came, and is handed on so often. */
export function noteIncoming(step: string, times: number): void {
  const name = `in.${step}`;
  counts.set(name, (counts.get(name) ?? 0) + times);
}

/** How often each step was taken since the start; `in.…` are the messages that were handed on after they had come. */
export function stepCounts(): Readonly<Record<string, number>> {
  return Object.fromEntries(counts);
}

/** Whether a step is one of those that a name stands for. */
export function stepIs(step: string, name: string): boolean {
  return name === "*" || step === name || step.startsWith(`${name}.`);
}

/** The step is about to be taken. */
export function aboutTo(step: string): void {
  counts.set(step, (counts.get(step) ?? 0) + 1);
  if (left === 0 || armed === undefined || !stepIs(step, armed.step)) return;
  left -= 1;
  if (left === 0 && armed.when === "before") die(step);
}

/** The step has been taken. `flush` puts it on the wire, and returns what says whether the wire has taken it. */
export function hasTaken(step: string, flush: () => () => boolean): void {
  if (dying || left > 0 || armed?.when !== "sent" || !stepIs(step, armed.step)) return;
  dying = true;
  const hasLeft = flush();
  const dieOnceGone = (): void => {
    if (hasLeft()) die(step);
    else setImmediate(dieOnceGone);
  };
  dieOnceGone();
}

/** Whether this process is as good as dead: it must not hear of anything any more, nor say anything. */
export function isDying(): boolean {
  return dying;
}

function die(step: string): void {
  // Not by the logger: the line must be out before the process ends.
  writeSync(2, `fail point: ${armed?.when} ${step}\n`);
  process.kill(process.pid, "SIGKILL");
}
