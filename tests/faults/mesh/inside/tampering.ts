// Loses and doubles messages of this process, as a broken network between queues would: on the way out or in, every so many of a kind.
import { isDying, stepIs } from "./fail-points.ts";

/** What is done to which messages. */
export interface TamperRule {
  /** A step by its name in steps.ts, outgoing or incoming as `way` says, or a group of them. */
  readonly step: string;
  readonly way: "out" | "in";
  /** Every so-manieth is met, from 1 for all. */
  readonly every: number;
  /** `lose` it; `double` it at once; or let it come `again` after `afterMs`, which only incoming messages do. */
  readonly how: "lose" | "double" | "again";
  /** Milliseconds. Default 20. */
  readonly afterMs?: number;
}

const DEFAULT_AFTER_MS = 20;

let rules: { readonly rule: TamperRule; count: number }[] = [];

/** Sets the rules; those before are forgotten. */
export function setRules(next: readonly TamperRule[]): void {
  rules = next.map((rule) => ({ rule, count: 0 }));
}

/** How often an outgoing message is sent. */
export function timesOut(step: string): number {
  if (isDying()) return 0;
  const rule = met("out", step);
  if (rule === undefined) return 1;
  return rule.how === "lose" ? 0 : 2;
}

/** When an incoming message is handed on, in milliseconds from now; once for each. */
export function timesIn(step: string): readonly number[] {
  if (isDying()) return [];
  const rule = met("in", step);
  if (rule === undefined) return [0];
  if (rule.how === "lose") return [];
  return [0, rule.how === "double" ? 0 : (rule.afterMs ?? DEFAULT_AFTER_MS)];
}

/** The first rule that meets the message. */
function met(way: TamperRule["way"], step: string): TamperRule | undefined {
  for (const each of rules) {
    if (each.rule.way !== way || !stepIs(step, each.rule.step)) continue;
    each.count += 1;
    if (each.count % each.rule.every === 0) return each.rule;
  }
  return undefined;
}
