// The policy as its file says it: read, checked, and every mistake with its place. Knows nothing of where the file is.

import { isNode, isScalar, LineCounter, parseDocument, visit } from "yaml";
import { z } from "zod";
import { type Action, ACTIONS, isAction } from "../../../lib/core/access/action.ts";
import { matchesGlob } from "../../../lib/core/access/glob.ts";
import type { Grant, PrincipalKind } from "../../../lib/core/access/principal.ts";
import { ConfigError } from "../../../lib/config/config-error.ts";
import { didYouMean } from "../../../lib/config/nearest-name.ts";
import { MAX_LABEL_KEY_LENGTH, MAX_LABEL_VALUE_LENGTH, MAX_LABELS } from "../../../lib/core/limits.ts";
import { isName, MAX_NAME_LENGTH, NAME_ALPHABET } from "../../../lib/core/names.ts";
import { BUILT_IN_ROLES } from "./built-in-roles.ts";

/** Who is bound to which roles. */
export interface PolicyBinding {
  readonly kind: PrincipalKind;
  /** What its id matches; `*` stands for any characters. */
  readonly pattern: string;
  readonly tenant: string;
  readonly roles: readonly string[];
}

/** What a policy says. */
export interface PolicyDocument {
  /** What each role allows, by its name; those that are built in among them. */
  readonly roles: ReadonlyMap<string, Grant>;
  /** The first that matches counts. */
  readonly bindings: readonly PolicyBinding[];
  /** The claims of verified tokens that say tenant and roles of those whom no binding matches. */
  readonly claims: { readonly tenant?: string | undefined; readonly roles?: string | undefined };
}

/** What there is without a file. */
export const NO_DOCUMENT: PolicyDocument = { roles: BUILT_IN_ROLES, bindings: [], claims: {} };

/** Kinds whose tenant and roles are said by bindings; a key says its own. */
const BOUND_KINDS: readonly PrincipalKind[] = ["token", "certificate"];

const MAX_ENTRIES = 10_000;
const MAX_PATTERN_LENGTH = 512;
const MAX_TYPES = 1_000;

const KEYS: Readonly<Record<string, readonly string[]>> = {
  "": ["roles", "bindings", "claims"],
  roles: ["actions", "taskTypes", "labels"],
  bindings: ["principal", "tenant", "roles"],
  claims: ["tenant", "roles"],
};

const name = z
  .string()
  .refine((text) => isName(text), `must be 1 to ${MAX_NAME_LENGTH} characters of ${NAME_ALPHABET}`);

const actions = z
  .array(
    z.string().superRefine((text, context) => {
      if (actionsOf(text).length > 0) return;
      context.addIssue({
        code: "custom",
        message: `${quoted(text)} is no action${didYouMean(text, Object.keys(ACTIONS))}`,
      });
    }),
  )
  .min(1, "must name an action")
  .transform((patterns) => new Set(patterns.flatMap(actionsOf)));

const taskTypes = z
  .array(
    z
      .string()
      .refine(
        (text) => isName(text.replaceAll("*", "x")),
        `must be 1 to ${MAX_NAME_LENGTH} characters of ${NAME_ALPHABET} *`,
      ),
  )
  .min(1, "must name a type; leave it out for all")
  .max(MAX_TYPES)
  .default(["*"]);

const labels = z
  .record(z.string().min(1).max(MAX_LABEL_KEY_LENGTH), z.string().max(MAX_LABEL_VALUE_LENGTH))
  .refine((all) => Object.keys(all).length <= MAX_LABELS, `must be ${MAX_LABELS} labels at most`)
  .default({});

const role = z.strictObject({ actions, taskTypes, labels });

const principal = z
  .string()
  .max(MAX_PATTERN_LENGTH)
  .transform((text, context) => {
    const [, kind = "", pattern = ""] = /^([a-z-]+):(.+)$/s.exec(text) ?? [];
    const known = BOUND_KINDS.find((one) => one === kind);
    if (known !== undefined) return { kind: known, pattern };
    const message = `must be ${BOUND_KINDS.map((one) => `${one}:<name>`).join(" or ")}, is ${quoted(text)}`;
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  });

const binding = z.strictObject({ principal, tenant: name, roles: z.array(name).min(1, "must name a role") });

const claim = z.string().min(1).max(256).optional();

const document = z.strictObject({
  roles: z.record(name, role).default({}),
  bindings: z.array(binding).max(MAX_ENTRIES).default([]),
  claims: z.strictObject({ tenant: claim, roles: claim }).default({}),
});

/** Reads a policy. `file` is its name in messages. Throws ConfigError. */
export function readPolicy(file: string, text: string): PolicyDocument {
  const lines = new LineCounter();
  // Every value is a text: a label may look like a number, and a role like a truth.
  const tree = parseDocument(text, { schema: "failsafe", lineCounter: lines, prettyErrors: false, logLevel: "error" });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const [broken] = [...tree.errors, ...tree.warnings];
  if (broken !== undefined) {
    throw new ConfigError(
      `${at(broken.pos[0])}: is not YAML that can be read here: ${broken.message.split("\n")[0] ?? ""}`,
    );
  }
  visit(tree, {
    Pair(_, { key }) {
      // As a label it would be lost on the way, and what it restricts be free.
      if (isScalar(key) && key.value === "__proto__") {
        throw new ConfigError(`${at(key.range?.[0] ?? 0)}: __proto__ can't be a key here`);
      }
    },
  });
  const place = (path: readonly PropertyKey[]): string => {
    for (let length = path.length; length > 0; length -= 1) {
      const node: unknown = tree.getIn(path.slice(0, length), true);
      if (isNode(node) && node.range != null) return at(node.range[0]);
    }
    return file;
  };
  const checked = document.safeParse(toPlain(tree, file) ?? {});
  if (!checked.success) {
    // A key that is written wrongly is why another is missing.
    const issues = checked.error.issues.toSorted((a, b) => Number(isAboutKeys(b)) - Number(isAboutKeys(a)));
    const mistakes = issues.map((issue) => {
      const path = issue.code === "unrecognized_keys" ? [...issue.path, ...issue.keys.slice(0, 1)] : issue.path;
      return `${place(path)}: ${pathOf(path)}${wordsOf(issue)}`;
    });
    throw new ConfigError(mistakes.length === 0 ? `${file} can't be read` : [mistakes[0] ?? "", ...mistakes.slice(1)]);
  }
  const { roles, bindings, claims } = checked.data;
  const all = new Map<string, Grant>([...BUILT_IN_ROLES, ...Object.entries(roles)]);
  for (const [i, bound] of bindings.entries()) {
    for (const [j, wanted] of bound.roles.entries()) {
      if (all.has(wanted)) continue;
      const path = ["bindings", i, "roles", j];
      throw new ConfigError(
        `${place(path)}: ${pathOf(path)}: there is no role ${wanted}${didYouMean(wanted, all.keys())}`,
      );
    }
  }
  return { roles: all, bindings: bindings.map(({ principal, ...rest }) => ({ ...principal, ...rest })), claims };
}

function toPlain(tree: ReturnType<typeof parseDocument>, file: string): unknown {
  try {
    return tree.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw new ConfigError(`${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** The actions that a text names, in which `*` stands for any characters. */
function actionsOf(text: string): readonly Action[] {
  return Object.keys(ACTIONS)
    .filter(isAction)
    .filter((action) => matchesGlob(text, action));
}

function pathOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`;
    return text === "" ? String(key) : `${text}.${String(key)}`;
  }, "");
}

function isAboutKeys({ code }: z.core.$ZodIssue): boolean {
  return code === "unrecognized_keys";
}

function wordsOf(issue: z.core.$ZodIssue): string {
  if (issue.code === "unrecognized_keys") {
    const [section = ""] = issue.path;
    const [key = ""] = issue.keys;
    return ` is no key${didYouMean(key, KEYS[String(section)] ?? [])}`;
  }
  const [nested] = issue.code === "invalid_key" ? issue.issues : [];
  const { message } = nested ?? issue;
  if (message.endsWith("received undefined")) return " is missing";
  const words = message.replace(/^Invalid input: expected (\w+), received (\w+)$/, "must be $1, is $2");
  return issue.path.length === 0 ? `the file ${words}` : ` ${words}`;
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}
