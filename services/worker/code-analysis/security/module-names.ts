// Knows what the names of a module stand for: imported, required, or given to another name. Pure; fed by one walk.
import type { Node } from "oxc-parser";
import { moduleName, namePath, requiredModule, plain } from "./syntax-patterns.ts";

/** The names of one source. `enter` must see the nodes in the order of the text. */
export class ModuleNames {
  /** By local name: the module, and the path within it. */
  readonly #known = new Map<string, readonly string[]>();

  enter(node: Node): void {
    if (node.type === "ImportDeclaration") this.#import(node);
    else if (node.type === "VariableDeclarator" && node.init !== null) this.#declare(node.id, node.init);
  }

  /** What an expression stands for, e.g. `child_process.exec` or `Math.random`; undefined for what has no name. */
  nameOf(node: Node): string | undefined {
    const [first, ...rest] = namePath(node) ?? [];
    if (first === undefined) return undefined;
    // `fs.promises.readFile` is as good as that of `fs/promises`.
    return [...(this.#known.get(first) ?? [first]), ...rest.filter((name) => name !== "promises")].join(".");
  }

  #import(node: Extract<Node, { type: "ImportDeclaration" }>): void {
    const module = moduleName(node.source.value);
    if (module === undefined) return;
    for (const specifier of node.specifiers) {
      const { imported } = specifier.type === "ImportSpecifier" ? specifier : { imported: undefined };
      const name = imported?.type === "Identifier" ? imported.name : imported?.value;
      const isWhole = name === undefined || name === "default";
      this.#known.set(specifier.local.name, isWhole ? [module] : [module, name]);
    }
  }

  #declare(target: Node, value: Node): void {
    const source = this.#sourceOf(plain(value));
    if (source === undefined) return;
    if (target.type === "Identifier") this.#known.set(target.name, source);
    if (target.type !== "ObjectPattern") return;
    for (const property of target.properties) {
      if (property.type !== "Property" || property.key.type !== "Identifier") continue;
      if (property.value.type !== "Identifier") continue;
      const path = property.key.name === "promises" ? source : [...source, property.key.name];
      this.#known.set(property.value.name, path);
    }
  }

  /** The module path of a value: of `require`, of another known name, and of `promisify` of one. */
  #sourceOf(value: Node): readonly string[] | undefined {
    const module = requiredModule(value);
    if (module !== undefined) return [module];
    if (value.type === "CallExpression" && this.nameOf(value.callee) === "util.promisify") {
      const [wrapped] = value.arguments;
      return wrapped === undefined ? undefined : this.#sourceOf(plain(wrapped));
    }
    const [first, ...rest] = namePath(value) ?? [];
    const known = first === undefined ? undefined : (this.#known.get(first) ?? requireName(first, value));
    return known === undefined ? undefined : [...known, ...rest.filter((name) => name !== "promises")];
  }
}

/** `require("fs").promises`: its path starts with a module, not with a local name. */
function requireName(first: string, value: Node): readonly string[] | undefined {
  let at = value;
  while (at.type === "MemberExpression") at = plain(at.object);
  return requiredModule(at) === first ? [first] : undefined;
}
