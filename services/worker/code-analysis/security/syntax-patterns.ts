// Small questions about syntax that several rules ask. Pure; looks at nothing but the tree.
import type { Node } from "oxc-parser";
import { walkSyntax } from "../syntax-walk.ts";

/** The expression itself, without what only says its type or waits for it. */
export function plain(node: Node): Node {
  let at = node;
  for (;;) {
    switch (at.type) {
      case "TSAsExpression":
      case "TSSatisfiesExpression":
      case "TSNonNullExpression":
      case "TSTypeAssertion":
      case "ChainExpression":
      case "ParenthesizedExpression":
        at = at.expression;
        break;
      case "AwaitExpression":
        at = at.argument;
        break;
      default:
        return at;
    }
  }
}

/** The text of a string literal, or of a template without expressions. */
export function textOf(node: Node | undefined): string | undefined {
  const at = node === undefined ? undefined : plain(node);
  if (at?.type === "Literal") return typeof at.value === "string" ? at.value : undefined;
  if (at?.type !== "TemplateLiteral" || at.expressions.length > 0) return undefined;
  return at.quasis[0]?.value.cooked ?? undefined;
}

/** The constant part of a text that is put together with other values, `…` for each; undefined if it is not such a text. */
export function mixedText(node: Node | undefined): string | undefined {
  const at = node === undefined ? undefined : plain(node);
  if (at?.type === "TemplateLiteral" && at.expressions.length > 0) {
    return at.quasis.map(({ value }) => value.cooked ?? "").join("…");
  }
  if (at?.type !== "BinaryExpression" || at.operator !== "+") return undefined;
  const parts = termsOf(at).map(textOf);
  const isMixed = parts.some((part) => part === undefined) && parts.some((part) => part !== undefined);
  return isMixed ? parts.map((part) => part ?? "…").join("") : undefined;
}

function termsOf(sum: Node): Node[] {
  const terms: Node[] = [];
  // A chain of a thousand sums is as deep on its left side.
  let at = plain(sum);
  while (at.type === "BinaryExpression" && at.operator === "+") {
    terms.push(plain(at.right));
    at = plain(at.left);
  }
  terms.push(at);
  return terms.toReversed();
}

/** The key of `a.b` and `a["b"]`; undefined if it is no constant. */
function memberKey(member: Extract<Node, { type: "MemberExpression" }>): string | undefined {
  if (member.computed) return textOf(member.property);
  return member.property.type === "Identifier" ? member.property.name : undefined;
}

/** The names of `a.b["c"].d`, outermost first; undefined for what does not start with a name. A key that is no constant is `[]`. */
export function namePath(node: Node): string[] | undefined {
  const names: string[] = [];
  let at = plain(node);
  while (at.type === "MemberExpression") {
    names.push(memberKey(at) ?? "[]");
    at = plain(at.object);
  }
  names.reverse();
  if (at.type === "ThisExpression") return ["this", ...names];
  if (at.type === "Identifier") return [at.name, ...names];
  const module = requiredModule(at);
  return module === undefined ? undefined : [module, ...names];
}

/** The module of `require("…")` and `import("…")`, without `node:` and without `/promises`. */
export function requiredModule(node: Node | null): string | undefined {
  if (node === null) return undefined;
  const at = plain(node);
  if (at.type === "ImportExpression") return moduleName(textOf(at.source));
  if (at.type !== "CallExpression" || at.callee.type !== "Identifier" || at.callee.name !== "require") return undefined;
  return moduleName(textOf(at.arguments[0]));
}

/** The name by which rules know a module. */
export function moduleName(specifier: string | undefined): string | undefined {
  return specifier?.replace(/^node:/, "").replace(/\/promises$/, "");
}

/** The value of a property of an object literal. */
export function propertyOf(node: Node | undefined, name: string): Node | undefined {
  const at = node === undefined ? undefined : plain(node);
  if (at?.type !== "ObjectExpression") return undefined;
  for (const property of at.properties) {
    if (property.type === "Property" && keyOf(property.key) === name) return property.value;
  }
  return undefined;
}

/** The name of what is declared, assigned or defined here, as it is written: of a variable, a property, a member. */
export function targetName(node: Node): string | undefined {
  switch (node.type) {
    case "VariableDeclarator":
      return node.id.type === "Identifier" ? node.id.name : undefined;
    case "AssignmentExpression":
      return namePath(node.left)?.at(-1);
    case "Property":
    case "PropertyDefinition":
    case "MethodDefinition":
      return keyOf(node.key);
    case "FunctionDeclaration":
    case "FunctionExpression":
      return node.id?.name;
    default:
      return undefined;
  }
}

/** What is assigned there. */
export function targetValue(node: Node): Node | null | undefined {
  switch (node.type) {
    case "VariableDeclarator":
      return node.init;
    case "AssignmentExpression":
      return node.right;
    case "Property":
    case "PropertyDefinition":
      return node.value;
    default:
      return undefined;
  }
}

function keyOf(key: Node): string | undefined {
  if (key.type === "Identifier") return key.name;
  if (key.type === "PrivateIdentifier") return key.name;
  return textOf(key);
}

/** Whether something within `node` passes the test. */
export function holds(node: Node | undefined, passes: (node: Node) => boolean): boolean {
  if (node === undefined) return false;
  let found = false;
  walkSyntax(node, {
    enter(at) {
      found ||= passes(at);
    },
    leave: () => undefined,
  });
  return found;
}

const REQUESTS: ReadonlySet<string> = new Set(["req", "request", "ctx", "event"]);
const REQUEST_PARTS: ReadonlySet<string> = new Set([
  "params",
  "query",
  "body",
  "headers",
  "cookies",
  "url",
  "queryStringParameters",
  "pathParameters",
]);

/** Whether the value holds something that a web request carries, such as `req.query.file`. */
export function holdsRequestData(node: Node | undefined): boolean {
  return holds(node, (at) => {
    // Only the innermost names, so that a long chain costs no more than its length.
    if (at.type !== "MemberExpression" || !REQUEST_PARTS.has(memberKey(at) ?? "")) return false;
    const owner = plain(at.object);
    const request = owner.type === "MemberExpression" && memberKey(owner) === "request" ? plain(owner.object) : owner;
    return request.type === "Identifier" && REQUESTS.has(request.name);
  });
}
