// Owns the rules by which a task runs here or in the mesh: plain data, applied in order. Asks for a fact only when a rule needs it.
import type { BreakerState } from "../client/index.ts";

/** Where a task runs: in this process, or in the mesh. */
export type Where = "local" | "mesh";

/** What must be true of a task, and of the mesh, for a rule to apply. Everything that is set must hold; at least one is. */
export interface RuleCondition {
  /** The task is of one of these types. */
  readonly types?: readonly string[];
  /** There is a handler for it here, or there is none. */
  readonly handler?: boolean;
  /** Its input is larger than so many bytes. From 0. */
  readonly inputOverBytes?: number;
  /** It asks for what only the mesh can do, a later start or a webhook, or it does not. */
  readonly meshOnly?: boolean;
  /** The circuit to every coordinator is open, or it is not. */
  readonly circuitOpen?: boolean;
  /** Some coordinator serves, or none does. As `client.health()` says, which may be a minute old. */
  readonly healthy?: boolean;
  /** The load of the mesh for this type is above this. 0 is idle, 1 is every slot taken; from 0. Does not hold while the load is not known. */
  readonly loadOver?: number;
}

/** One rule. */
export interface Rule {
  /** Names it in explanations and traces. 1 to 64 characters. */
  readonly name: string;
  readonly when: RuleCondition;
  /** Where the task runs. A rule that says `local` is passed over for a type that has no handler here, and for what only the mesh can do. */
  readonly run: Where;
  /** Whether the task may run at the other place if this one certainly did not take it. Default true. */
  readonly fallback?: boolean;
}

/** Where facts come from. Each is asked at most once, and only if a rule that could apply needs it. */
export interface FactSource {
  readonly type: string;
  readonly handler: boolean;
  readonly meshOnly: boolean;
  inputBytes(): number;
  circuits(): ReadonlyMap<string, BreakerState>;
  /** Why no coordinator serves, one line; undefined if one does. */
  outage(): Promise<string | undefined>;
  /** Undefined if it is not known. */
  load(): Promise<number | undefined>;
}

/** The facts that a decision has looked at, and those that are at hand anyway. */
export interface RouteFacts {
  readonly type: string;
  readonly handler: boolean;
  readonly meshOnly: boolean;
  readonly inputBytes?: number;
  readonly circuitOpen?: boolean;
  readonly healthy?: boolean;
  readonly load?: number;
}

/** Where a task runs, and why. */
export interface Decision {
  readonly where: Where;
  /** The name of the rule; `otherwise` if none applied. */
  readonly rule: string;
  /** Whether the other place may take the task instead. */
  readonly fallback: boolean;
  /** Whether it did: then the rule had said the other place, which certainly did not take it. */
  readonly fellBack: boolean;
  /** Why, in one sentence for people. */
  readonly because: string;
  readonly facts: RouteFacts;
}

/** The name of what decides when no rule does. */
export const OTHERWISE = "otherwise";

/** Applies the rules in order; without one that applies, a task goes to the mesh. */
export async function decide(rules: readonly Rule[], source: FactSource): Promise<Decision> {
  const inquiry = new Inquiry(source);
  for (const rule of rules) {
    if (rule.run === "local" && (!source.handler || source.meshOnly)) continue;
    const reasons = await inquiry.reasonsFor(rule.when);
    if (reasons === undefined) continue;
    const because = sentence(source.type, rule.run, rule.name, reasons.join(", and "));
    return {
      where: rule.run,
      rule: rule.name,
      fallback: rule.fallback ?? true,
      fellBack: false,
      because,
      facts: inquiry.facts,
    };
  }
  const because = sentence(source.type, "mesh", OTHERWISE, "no rule says otherwise");
  return { where: "mesh", rule: OTHERWISE, fallback: true, fellBack: false, because, facts: inquiry.facts };
}

function sentence(type: string, where: Where, rule: string, reasons: string): string {
  return `${JSON.stringify(type)} runs ${where === "local" ? "in this process" : "in the mesh"} by rule ${rule}: ${reasons}`;
}

// Holds conditions against facts, the cheap ones first, and remembers what it was told.
class Inquiry {
  readonly #source: FactSource;
  #facts: RouteFacts;
  #outage: { readonly line: string | undefined } | undefined;
  #load: { readonly value: number | undefined } | undefined;

  constructor(source: FactSource) {
    this.#source = source;
    const { type, handler, meshOnly } = source;
    this.#facts = { type, handler, meshOnly };
  }

  get facts(): RouteFacts {
    return this.#facts;
  }

  /** Why the condition holds; undefined if it does not. */
  async reasonsFor(when: RuleCondition): Promise<string[] | undefined> {
    const reasons: string[] = [];
    const { type, handler, meshOnly } = this.#source;
    if (when.types !== undefined) {
      if (!when.types.includes(type)) return undefined;
      reasons.push("the rule names this type");
    }
    if (when.handler !== undefined) {
      if (when.handler !== handler) return undefined;
      reasons.push(handler ? "there is a handler for it here" : "there is no handler for it here");
    }
    if (when.meshOnly !== undefined) {
      if (when.meshOnly !== meshOnly) return undefined;
      reasons.push(
        meshOnly ? "it asks for a later start or a webhook" : "it asks for nothing that only the mesh can do",
      );
    }
    if (when.inputOverBytes !== undefined) {
      const inputBytes = this.#inputBytes();
      if (inputBytes <= when.inputOverBytes) return undefined;
      reasons.push(`its input has ${inputBytes} bytes, more than ${when.inputOverBytes}`);
    }
    if (when.circuitOpen !== undefined) {
      const circuitOpen = this.#circuitOpen();
      if (circuitOpen !== when.circuitOpen) return undefined;
      reasons.push(circuitOpen ? "the circuit to every coordinator is open" : "the circuit to a coordinator is closed");
    }
    if (when.healthy !== undefined) {
      const outage = await this.#outageLine();
      if ((outage === undefined) !== when.healthy) return undefined;
      reasons.push(outage === undefined ? "the mesh is healthy" : `no coordinator serves (${outage})`);
    }
    if (when.loadOver !== undefined) {
      const load = await this.#knownLoad();
      if (load === undefined || load <= when.loadOver) return undefined;
      const measured = `the load of the mesh is ${Number(load.toFixed(2))}, more than ${when.loadOver}`;
      reasons.push(Number.isFinite(load) ? measured : "no agent of the mesh offers it");
    }
    return reasons;
  }

  #inputBytes(): number {
    const inputBytes = this.#facts.inputBytes ?? this.#source.inputBytes();
    this.#facts = { ...this.#facts, inputBytes };
    return inputBytes;
  }

  #circuitOpen(): boolean {
    const states = [...this.#source.circuits().values()];
    const circuitOpen = this.#facts.circuitOpen ?? (states.length > 0 && states.every((state) => state === "open"));
    this.#facts = { ...this.#facts, circuitOpen };
    return circuitOpen;
  }

  async #outageLine(): Promise<string | undefined> {
    this.#outage ??= { line: await this.#source.outage() };
    this.#facts = { ...this.#facts, healthy: this.#outage.line === undefined };
    return this.#outage.line;
  }

  async #knownLoad(): Promise<number | undefined> {
    this.#load ??= { value: await this.#source.load() };
    const { value: load } = this.#load;
    if (load !== undefined) this.#facts = { ...this.#facts, load };
    return load;
  }
}
