// Finds a name for every function of a syntax tree: its own, or that of what it is assigned or handed to. Pure.
import type { Node } from "oxc-parser";

/** Longest name that is kept. */
const MAX_NAME_LENGTH = 60;

/** Names functions during one walk: `enter` and `leave` must see every node in order. */
export class FunctionNames {
  /** Names given by a parent that was entered, for children that are still to come. */
  readonly #given = new WeakMap<Node, string>();
  readonly #classes: string[] = [];

  enter(node: Node): void {
    switch (node.type) {
      case "ClassDeclaration":
      case "ClassExpression":
        this.#classes.push(node.id?.name ?? this.#given.get(node) ?? "class");
        break;
      case "MethodDefinition":
      case "PropertyDefinition":
      case "AccessorProperty": {
        const prefix = "kind" in node && (node.kind === "get" || node.kind === "set") ? `${node.kind} ` : "";
        this.#give(node.value, `${prefix}${this.#classes.at(-1) ?? "class"}.${keyName(node.key, node.computed)}`);
        break;
      }
      case "Property":
        this.#give(node.value, keyName(node.key, node.computed));
        break;
      case "VariableDeclarator":
        if (node.id.type === "Identifier") this.#give(node.init, node.id.name);
        break;
      case "AssignmentExpression":
      case "AssignmentPattern":
        this.#give(node.right, expressionName(node.left));
        break;
      case "ExportDefaultDeclaration":
        this.#give(node.declaration, "default");
        break;
      case "CallExpression":
      case "NewExpression": {
        this.#give(node.callee, "(called at once)");
        const callee = expressionName(node.callee);
        for (const argument of node.arguments) this.#give(argument, callee && `callback of ${callee}`);
        break;
      }
      default:
    }
  }

  leave(node: Node): void {
    if (node.type === "ClassDeclaration" || node.type === "ClassExpression") this.#classes.pop();
  }

  /** The name of `node`, a function that was just entered. */
  nameOf(node: Node): string {
    const own = "id" in node && node.id !== null && "name" in node.id ? node.id.name : undefined;
    const name = typeof own === "string" ? own : (this.#given.get(node) ?? "(anonymous)");
    return clip(name, MAX_NAME_LENGTH);
  }

  #give(node: Node | null, name: string | undefined): void {
    if (node !== null && name !== undefined && name !== "") this.#given.set(node, name);
  }
}

/** At most `length` characters of `text`, all of them printable. */
export function clip(text: string, length: number): string {
  const printable = text.replace(/[\p{Cc}\p{Cs}\u2028\u2029]+/gu, " ");
  return printable.length <= length ? printable : `${printable.slice(0, length - 1).replace(/\p{Cs}$/u, "")}…`;
}

function keyName(key: Node, computed: boolean): string {
  if (key.type === "PrivateIdentifier") return `#${key.name}`;
  if (key.type === "Identifier" && !computed) return key.name;
  if (key.type === "Literal") return String(key.value);
  return `[${expressionName(key) ?? "computed"}]`;
}

/** `a`, `this.a`, `a.b.c`; undefined for what has no short name. */
function expressionName(node: Node): string | undefined {
  const parts: string[] = [];
  let at = node;
  while (at.type === "MemberExpression") {
    if (at.computed) return undefined;
    parts.unshift(at.property.type === "PrivateIdentifier" ? `#${at.property.name}` : at.property.name);
    // The last two parts say enough, and the object may be a whole expression.
    if (parts.length === 2 && at.object.type !== "Identifier") return parts.join(".");
    at = at.object;
  }
  if (at.type === "Identifier") parts.unshift(at.name);
  else if (at.type === "ThisExpression") parts.unshift("this");
  return parts.length === 0 ? undefined : parts.join(".");
}
