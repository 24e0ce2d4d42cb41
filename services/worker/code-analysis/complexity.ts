// Cyclomatic complexity and nesting of every function. Pure.
//
// The rule is McCabe's ("A Complexity Measure", IEEE Transactions on Software Engineering SE-2(4), 1976): the number of
// independent paths through a function, which for structured code is its binary decisions plus one. Decisions are: if,
// for, for-in, for-of, while, do, case with a test (not default), catch, ?:, and the operators that skip their right
// side: &&, ||, ??, &&=, ||=, ??=. A nested function counts on its own; parameter defaults belong to the function they
// are written in; class field initialisers and static blocks to the code around the class.
import type { Node } from "oxc-parser";
import type { FunctionMetrics } from "./file-metrics.ts";
import { FunctionNames } from "./function-names.ts";

/** Measures the functions of one module during a walk. */
export class ComplexityMeter {
  readonly functions: FunctionMetrics[] = [];
  classes = 0;
  maxNesting = 0;
  readonly #names = new FunctionNames();
  readonly #lineAt: (offset: number) => number;
  /** The functions around the current node, outermost first; the module's own body is the first. */
  readonly #open: { decisions: number; nesting: number }[] = [{ decisions: 0, nesting: 0 }];

  constructor(lineAt: (offset: number) => number) {
    this.#lineAt = lineAt;
  }

  /** Complexity of the whole module: all functions plus its own body. */
  get total(): number {
    const ownBody = 1 + (this.#open[0]?.decisions ?? 0);
    return this.functions.reduce((sum, { complexity }) => sum + complexity, ownBody);
  }

  enter(node: Node, parent: Node | undefined): void {
    this.#names.enter(node);
    if (isFunction(node)) this.#open.push({ decisions: 0, nesting: 0 });
    if (node.type === "ClassDeclaration" || node.type === "ClassExpression") this.classes += 1;
    const current = this.#open.at(-1);
    if (current === undefined) return;
    if (isDecision(node)) current.decisions += 1;
    if (!nests(node, parent)) return;
    current.nesting += 1;
    if (current.nesting > this.maxNesting) this.maxNesting = current.nesting;
  }

  leave(node: Node, parent: Node | undefined): void {
    this.#names.leave(node);
    const current = this.#open.at(-1);
    if (current === undefined) return;
    if (nests(node, parent)) current.nesting -= 1;
    if (!isFunction(node)) return;
    this.#open.pop();
    const line = this.#lineAt(node.start);
    const lines = this.#lineAt(Math.max(node.start, node.end - 1)) - line + 1;
    this.functions.push({ name: this.#names.nameOf(node), line, lines, complexity: 1 + current.decisions });
  }
}

/** A function with a body; overloads, abstract methods and ambient declarations have other types. */
function isFunction(node: Node): boolean {
  switch (node.type) {
    case "FunctionDeclaration":
    case "FunctionExpression":
    case "ArrowFunctionExpression":
      return node.body !== null;
    default:
      return false;
  }
}

function isDecision(node: Node): boolean {
  switch (node.type) {
    case "IfStatement":
    case "ForStatement":
    case "ForInStatement":
    case "ForOfStatement":
    case "WhileStatement":
    case "DoWhileStatement":
    case "CatchClause":
    case "ConditionalExpression":
    case "LogicalExpression":
      return true;
    case "SwitchCase":
      return node.test !== null;
    case "AssignmentExpression":
      return node.operator === "&&=" || node.operator === "||=" || node.operator === "??=";
    default:
      return false;
  }
}

/** The statements that ESLint's `max-depth` counts; an `else if` continues its chain instead of nesting in it. */
function nests(node: Node, parent: Node | undefined): boolean {
  switch (node.type) {
    case "IfStatement":
      return parent?.type !== "IfStatement" || parent.alternate !== node;
    case "ForStatement":
    case "ForInStatement":
    case "ForOfStatement":
    case "WhileStatement":
    case "DoWhileStatement":
    case "SwitchStatement":
    case "TryStatement":
      return true;
    default:
      return false;
  }
}
