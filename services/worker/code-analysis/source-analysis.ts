// Measures one TypeScript or JavaScript source with a real parser (oxc-parser). Pure; a broken source is a finding.
import { parseSync, type ParseResult } from "oxc-parser";
import { FindingCollector, type Findings, type SourceFinding } from "./code-finding.ts";
import { ComplexityMeter } from "./complexity.ts";
import type { Finding, FunctionMetrics, ParsedFile } from "./file-metrics.ts";
import { clip } from "./function-names.ts";
import type { Dialect } from "./language.ts";
import { lineFinder, placeFinder, sourceLines } from "./line-count.ts";
import { ModuleLinks } from "./module-links.ts";
import { MAX_NESTING_BOUND, nestingBound } from "./nesting-bound.ts";
import { type RuleBook, SecurityScan } from "./security/security-scan.ts";
import { walkSyntax } from "./syntax-walk.ts";
import { countTodos } from "./todo-markers.ts";

/** Most findings and most imported names that are listed for a file; their counts stay exact. */
const MAX_FINDINGS = 3;
const MAX_SPECIFIERS = 16;
const MAX_SPECIFIER_LENGTH = 80;
const MAX_MESSAGE_LENGTH = 120;

/** What a source measures, without what any file has. */
export type SourceMetrics = Omit<ParsedFile, "path" | "bytes" | "language">;

/** The measures of a source, or why the parser could make nothing of it. */
export type SourceAnalysis =
  | SourceMetrics
  | { readonly kind: "unparsed"; readonly findingCount: number; readonly findings: readonly Finding[] };

/** What is done beside measuring. */
export interface SourceInspection {
  /** The security rules to apply; none if left out. */
  readonly rules?: RuleBook | undefined;
  /** Called once with everything that was found: the parser's complaints, and what the rules say. */
  readonly onFindings?: ((findings: Findings<SourceFinding>) => void) | undefined;
}

/** Measures `text`; at most `topFunctions` functions are listed by length and by complexity. */
export function analyseSource(
  text: string,
  dialect: Dialect,
  topFunctions: number,
  inspection: SourceInspection = {},
): SourceAnalysis {
  const found = new FindingCollector();
  const analysis = measured(text, dialect, topFunctions, inspection.rules, found);
  inspection.onFindings?.(found.found);
  return analysis;
}

function measured(
  text: string,
  dialect: Dialect,
  topFunctions: number,
  rules: RuleBook | undefined,
  found: FindingCollector,
): SourceAnalysis {
  if (nestingBound(text) > MAX_NESTING_BOUND) {
    const message = "nested too deeply to be parsed safely";
    found.add({ severity: "error", rule: "syntax", message });
    return { kind: "unparsed", findingCount: 1, findings: [{ message }] };
  }
  const result = parse(text, dialect);
  const lineAt = lineFinder(text);
  const placeAt = placeFinder(text);
  for (const { message, labels } of result.errors) {
    const place = labels[0] === undefined ? {} : placeAt(labels[0].start);
    found.add({ severity: "error", rule: "syntax", ...place, message: clip(message, MAX_MESSAGE_LENGTH) });
  }
  const findingCount = result.errors.length;
  const findings = result.errors.slice(0, MAX_FINDINGS).map((error): Finding => {
    const message = clip(error.message, MAX_MESSAGE_LENGTH);
    const [label] = error.labels;
    return label === undefined ? { message } : { line: lineAt(label.start), message };
  });
  const { program, comments } = result;
  // After a fatal error the parser hands out an empty program: counting that would claim zeros nobody measured.
  if (findingCount > 0 && program.body.length === 0) return { kind: "unparsed", findingCount, findings };

  const meter = new ComplexityMeter(lineAt);
  const links = new ModuleLinks();
  const scan =
    rules === undefined
      ? undefined
      : new SecurityScan(rules, ({ name, severity, message }, { start }) => {
          found.add({ severity, rule: name, ...placeAt(start), message });
        });
  walkSyntax(program, {
    enter(node, parent) {
      meter.enter(node, parent);
      links.enter(node);
      scan?.enter(node);
    },
    leave(node, parent) {
      meter.leave(node, parent);
      scan?.leave();
    },
  });
  links.addStaticExports(result.module);
  return {
    kind: "parsed",
    lines: sourceLines(text, comments),
    functions: {
      count: meter.functions.length,
      longest: meter.functions.toSorted(byLength).slice(0, topFunctions),
      mostComplex: meter.functions
        .filter(({ complexity }) => complexity > 1)
        .toSorted(byComplexity)
        .slice(0, topFunctions),
    },
    classes: meter.classes,
    imports: {
      count: links.importCount,
      modules: links.specifiers.size,
      specifiers: [...links.specifiers]
        .sort()
        .slice(0, MAX_SPECIFIERS)
        .map((specifier) => clip(specifier, MAX_SPECIFIER_LENGTH)),
    },
    exports: links.exported.size,
    complexity: meter.total,
    maxNesting: meter.maxNesting,
    todos: comments.reduce((sum, comment) => sum + countTodos(comment.value), 0),
    findingCount,
    findings,
  };
}

/**
 * A .js or .ts file may be a module or a CommonJS script, and only the latter may return at its top level or use `with`:
 * what fails as the one is read as the other, and the reading with fewer complaints wins.
 */
function parse(text: string, lang: Dialect): ParseResult {
  const first = parseSync(`source.${lang}`, text, { lang, sourceType: "unambiguous", preserveParens: false });
  if (first.errors.length === 0 || lang !== "jsx") return first;
  const second = parseSync(`source.${lang}`, text, { lang, sourceType: "commonjs", preserveParens: false });
  return second.errors.length < first.errors.length ? second : first;
}

function byLength(a: FunctionMetrics, b: FunctionMetrics): number {
  return b.lines - a.lines || a.line - b.line;
}

function byComplexity(a: FunctionMetrics, b: FunctionMetrics): number {
  return b.complexity - a.complexity || a.line - b.line;
}
