// Applies the security rules to one source during a walk. Pure.
import type { Node } from "oxc-parser";
import { ModuleNames } from "./module-names.ts";
import { SECURITY_RULES, type SecurityRule } from "./security-rules.ts";

/** Rules by the kind of node that they look at. */
export type RuleBook = ReadonlyMap<Node["type"], readonly SecurityRule[]>;

/** The rules of these names; all if there are none. */
export function ruleBook(names: readonly string[]): RuleBook {
  const book = new Map<Node["type"], SecurityRule[]>();
  for (const rule of SECURITY_RULES) {
    if (names.length > 0 && !names.includes(rule.name)) continue;
    for (const type of rule.at) {
      const rules = book.get(type);
      if (rules === undefined) book.set(type, [rule]);
      else rules.push(rule);
    }
  }
  return book;
}

/** Scans one source: `enter` and `leave` must see every node in order. */
export class SecurityScan {
  readonly #book: RuleBook;
  readonly #onFound: (rule: SecurityRule, node: Node) => void;
  readonly #names = new ModuleNames();
  readonly #open: Node[] = [];

  constructor(book: RuleBook, onFound: (rule: SecurityRule, node: Node) => void) {
    this.#book = book;
    this.#onFound = onFound;
  }

  enter(node: Node): void {
    this.#names.enter(node);
    const rules = this.#book.get(node.type);
    if (rules !== undefined) {
      const open = this.#open;
      const view = {
        nameOf: (expression: Node): string | undefined => this.#names.nameOf(expression),
        // Most rules do not ask.
        get around(): readonly Node[] {
          return open.toReversed();
        },
      };
      for (const rule of rules) if (rule.finds(node, view)) this.#onFound(rule, node);
    }
    this.#open.push(node);
  }

  leave(): void {
    this.#open.pop();
  }
}
