// Collects what one module imports and exports, ECMAScript and CommonJS alike. Pure.
import type { EcmaScriptModule, Node } from "oxc-parser";

/** Collects the links of one module during a walk. */
export class ModuleLinks {
  /** Places that import something. */
  importCount = 0;
  /** Names of the imported modules, where they are literals. */
  readonly specifiers: Set<string> = new Set();
  /** Exported names; `* from x` for a whole module. */
  readonly exported: Set<string> = new Set();

  enter(node: Node): void {
    switch (node.type) {
      case "ImportDeclaration":
        this.#import(node.source);
        break;
      case "ExportNamedDeclaration":
        if (node.source !== null) this.#import(node.source);
        break;
      case "ExportAllDeclaration":
        this.#import(node.source);
        break;
      case "ImportExpression":
        this.#import(node.source);
        break;
      case "TSExternalModuleReference":
        this.#import(node.expression);
        break;
      case "CallExpression": {
        const [first] = node.arguments;
        if (first === undefined || node.callee.type !== "Identifier" || node.callee.name !== "require") break;
        if (literalText(first) !== undefined) this.#import(first);
        break;
      }
      case "AssignmentExpression":
        this.#commonJsExport(node.left);
        break;
      case "TSExportAssignment":
        this.exported.add("module.exports");
        break;
      default:
    }
  }

  /** Adds the exports that the parser's own module record lists. */
  addStaticExports(module: EcmaScriptModule): void {
    for (const { entries } of module.staticExports) {
      for (const { exportName, moduleRequest } of entries) {
        const kind: string = exportName.kind;
        if (kind === "Name") this.exported.add(exportName.name ?? "");
        else this.exported.add(kind === "Default" ? "default" : `* from ${moduleRequest?.value ?? ""}`);
      }
    }
  }

  #import(source: Node): void {
    this.importCount += 1;
    const specifier = literalText(source);
    if (specifier !== undefined) this.specifiers.add(specifier);
  }

  /** `exports.name = …`, `module.exports.name = …` and `module.exports = …`. */
  #commonJsExport(target: Node): void {
    if (target.type !== "MemberExpression" || target.computed) return;
    if (isExportsObject(target)) this.exported.add("module.exports");
    else if (isExportsObject(target.object)) this.exported.add(target.property.name);
  }
}

function isExportsObject(node: Node): boolean {
  if (node.type === "Identifier") return node.name === "exports";
  if (node.type !== "MemberExpression" || node.computed) return false;
  return node.object.type === "Identifier" && node.object.name === "module" && node.property.name === "exports";
}

/** The text of a string literal or of a template without expressions. */
function literalText(node: Node): string | undefined {
  if (node.type === "Literal") return typeof node.value === "string" ? node.value : undefined;
  if (node.type !== "TemplateLiteral" || node.expressions.length > 0) return undefined;
  return node.quasis[0]?.value.cooked ?? undefined;
}
