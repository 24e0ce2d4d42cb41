// The rules of a router that was given none, and the numbers in them.
import type { Rule } from "./rule.ts";

/** What may be chosen about the default rules. */
export interface DefaultRulesOptions {
  /** Types that always go to the mesh, because running them would hold up this process. Default none. */
  readonly heavy?: readonly string[];
  /** Types that always run in this process, if it has room for them. Default none. */
  readonly light?: readonly string[];
  /** Inputs larger than so many bytes go to the mesh. From 0; default 10,240. */
  readonly inputOverBytes?: number;
  /** From which load of the mesh on tasks run here. From 0, where 1 is every slot taken; default 0.9. */
  readonly loadOver?: number;
}

const DEFAULT_INPUT_BYTES = 10 * 1024;
// A mesh with every slot taken has a queue already.
const DEFAULT_LOAD = 0.9;

/**
 * The default rules, in their order: what cannot or must not run here goes to the mesh; what the mesh cannot take runs here; what is left
 * is decided by its size, and by the load of the mesh.
 */
export function defaultRules(options: DefaultRulesOptions = {}): readonly Rule[] {
  const { heavy = [], light = [], inputOverBytes = DEFAULT_INPUT_BYTES, loadOver = DEFAULT_LOAD } = options;
  return [
    { name: "no-handler", when: { handler: false }, run: "mesh" },
    // A start in the future must survive this process, and webhooks are delivered by coordinators.
    { name: "mesh-only", when: { meshOnly: true }, run: "mesh", fallback: false },
    { name: "heavy", when: { types: heavy }, run: "mesh", fallback: false },
    { name: "light", when: { types: light }, run: "local" },
    { name: "circuit-open", when: { circuitOpen: true }, run: "local" },
    { name: "unhealthy", when: { healthy: false }, run: "local" },
    { name: "large-input", when: { inputOverBytes }, run: "mesh" },
    { name: "overloaded", when: { loadOver }, run: "local" },
  ];
}
