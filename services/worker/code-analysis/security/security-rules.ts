// The security rules: one entry each, with what it looks at and when it speaks. Pure. docs/tasks.md lists them for users.
import type { Node } from "oxc-parser";
import type { Severity } from "../code-finding.ts";
import { holds, holdsRequestData, mixedText, propertyOf, targetName, targetValue, textOf } from "./syntax-patterns.ts";

/** What a rule may ask about the node that it is shown. */
export interface RuleView {
  /** What an expression stands for, by its module: `child_process.exec`, `Math.random`. */
  nameOf(node: Node): string | undefined;
  /** The nodes around it, innermost first. */
  readonly around: readonly Node[];
}

/** One rule. */
export interface SecurityRule {
  readonly name: string;
  readonly severity: Exclude<Severity, "error">;
  /** What is wrong and what is better, in one sentence. */
  readonly message: string;
  /** The kinds of nodes that it is shown. */
  readonly at: readonly Node["type"][];
  /** Whether the node is what the rule looks for. */
  readonly finds: (node: Node, view: RuleView) => boolean;
}

type Call = Extract<Node, { type: "CallExpression" | "NewExpression" }>;

const CALLS: readonly Node["type"][] = ["CallExpression", "NewExpression"];
const TARGETS: readonly Node["type"][] = [
  "VariableDeclarator",
  "AssignmentExpression",
  "Property",
  "PropertyDefinition",
];
const TEXTS: readonly Node["type"][] = ["TemplateLiteral", "BinaryExpression"];

/** A rule that looks at calls of some names. */
function onCall(
  names: readonly string[],
  finds: (call: Call, view: RuleView) => boolean,
): Pick<SecurityRule, "at" | "finds"> {
  const wanted = new Set(names);
  return {
    at: CALLS,
    finds(node, view) {
      if (node.type !== "CallExpression" && node.type !== "NewExpression") return false;
      const name = view.nameOf(node.callee);
      return name !== undefined && wanted.has(name) && finds(node, view);
    },
  };
}

/** Names of a module's functions, also with `Sync` after them. */
function inModule(module: string, names: string): string[] {
  return names.split(" ").flatMap((name) => [`${module}.${name}`, `${module}.${name}Sync`]);
}

const SECRET_NAME =
  /pass(?:word|wd|phrase)|secret|api_?key|access_?key|private_?key|auth_?token|access_?token|credential/i;
const TOKEN_NAME = /token|secret|passw|session_?id|nonce|salt|otp|api_?key|csrf|reset_?code|verification_?code/i;
const SECRET_FORM =
  /\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}|\bsk_live_[A-Za-z0-9]{16}|\bxox[abprs]-[A-Za-z0-9-]{10}|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----|\bAIza[\w-]{35}|\bglpat-[\w-]{20}/;
const PLACEHOLDER = /^(?:x+|\*+|\.+|<.*>|\{.*\}|change_?me|your[-_ ].*|example.*|dummy.*|todo)$/i;
const SQL =
  /^\s*(?:select\s[^]*?\sfrom\s|insert\s+into\s|update\s[^]*?\sset\s|delete\s+from\s|drop\s+table\s|alter\s+table\s)/i;
const FILE_CALLS = [
  ...inModule("fs", "readFile writeFile appendFile open unlink rm rmdir readdir stat access copyFile rename mkdir"),
  "fs.createReadStream",
  "fs.createWriteStream",
  "res.sendFile",
  "res.download",
];
const WEAK_HASHES: ReadonlySet<string> = new Set(["md4", "md5", "sha1", "sha-1", "ripemd160"]);

function firstText(call: Call): string | undefined {
  return textOf(call.arguments[0])?.toLowerCase();
}

function isFalse(node: Node | undefined): boolean {
  return node?.type === "Literal" && node.value === false;
}

function isConstant(node: Node | undefined): boolean {
  return node === undefined || textOf(node) !== undefined || node.type === "Literal";
}

/** All of them, by name. */
export const SECURITY_RULES: readonly SecurityRule[] = [
  {
    name: "no-eval",
    severity: "high",
    message: "code is made from a text at run time; parse the data, or call a function",
    ...onCall(
      ["eval", "Function", "globalThis.eval", "window.eval", "vm.runInThisContext", "vm.runInNewContext"],
      (call) => call.arguments.length > 0,
    ),
  },
  {
    name: "implied-eval",
    severity: "high",
    message: "a timer is given a text to run as code; give it a function",
    ...onCall(
      ["setTimeout", "setInterval", "window.setTimeout", "window.setInterval"],
      ({ arguments: [first] }) => textOf(first) !== undefined || mixedText(first) !== undefined,
    ),
  },
  {
    name: "shell-injection",
    severity: "critical",
    message: "a shell command is put together from values; use execFile or spawn with a list of arguments",
    ...onCall(inModule("child_process", "exec execFile spawn"), (call, view) => {
      const isShell = /\.exec(?:Sync)?$/.test(view.nameOf(call.callee) ?? "");
      const [command, given, last] = call.arguments;
      const asksForShell = [given, last].some((options) => {
        const shell = propertyOf(options, "shell");
        return shell !== undefined && !isFalse(shell);
      });
      if (!isShell && !asksForShell) return false;
      return mixedText(command) !== undefined || (asksForShell && holds(given, (at) => mixedText(at) !== undefined));
    }),
  },
  {
    name: "hard-coded-secret",
    severity: "high",
    message: "a secret stands in the source; read it from the environment or a secret store",
    at: TARGETS,
    finds(node) {
      const text = textOf(targetValue(node) ?? undefined);
      if (text === undefined || text.length < 8 || /\s/.test(text) || PLACEHOLDER.test(text)) return false;
      return SECRET_NAME.test(targetName(node) ?? "");
    },
  },
  {
    name: "secret-format",
    severity: "critical",
    message: "a text has the form of a key or token of a known service; revoke it and keep it out of the source",
    at: ["Literal", "TemplateElement"],
    finds(node) {
      const text = node.type === "TemplateElement" ? node.value.raw : node.type === "Literal" ? node.value : undefined;
      return typeof text === "string" && SECRET_FORM.test(text);
    },
  },
  {
    name: "weak-hash",
    severity: "medium",
    message: "MD5 and SHA-1 can be forged; use SHA-256, or scrypt or argon2 for passwords",
    ...onCall(["crypto.createHash", "crypto.createHmac", "crypto.hash", "crypto.subtle.digest"], (call) =>
      WEAK_HASHES.has(firstText(call) ?? ""),
    ),
  },
  {
    name: "weak-cipher",
    severity: "high",
    message: "the cipher is broken or shows patterns of the data; use aes-256-gcm or chacha20-poly1305",
    ...onCall(["crypto.createCipheriv", "crypto.createDecipheriv"], (call) =>
      /^(?:des|rc[24]|bf|blowfish|idea|seed)|-ecb$/.test(firstText(call) ?? ""),
    ),
  },
  {
    name: "tls-not-verified",
    severity: "high",
    message: "certificates are not verified, so anybody may pretend to be the other side; give the right `ca` instead",
    at: ["Property", "AssignmentExpression"],
    finds(node) {
      const name = targetName(node);
      const value = targetValue(node) ?? undefined;
      if (name === "rejectUnauthorized") return isFalse(value);
      return name === "NODE_TLS_REJECT_UNAUTHORIZED" && value?.type === "Literal" && String(value.value) === "0";
    },
  },
  {
    name: "old-tls",
    severity: "medium",
    message: "TLS before 1.2 and SSL are broken; leave the default, or ask for TLSv1.2",
    at: ["Property", "AssignmentExpression"],
    finds(node) {
      const name = targetName(node) ?? "";
      const text = textOf(targetValue(node) ?? undefined) ?? "";
      if (name === "secureProtocol") return /^(?:SSLv|TLSv1_(?:1_)?)(?!2)/.test(text);
      return /^(?:min|max|DEFAULT_(?:MIN|MAX)_)version$/i.test(name) && /^TLSv1(?:\.1)?$/.test(text);
    },
  },
  {
    name: "sql-injection",
    severity: "high",
    message: "SQL is put together from values; use parameters",
    at: TEXTS,
    finds(node, { around: [parent] }) {
      // A tag such as sql`…` gets the values apart from the text.
      if (parent?.type === "TaggedTemplateExpression") return false;
      // The whole sum is looked at, not its parts too.
      if (parent?.type === "BinaryExpression" && parent.operator === "+") return false;
      return SQL.test(mixedText(node) ?? "");
    },
  },
  {
    name: "unsafe-html",
    severity: "high",
    message: "HTML is made from a value, which may hold scripts; set textContent, or clean it first",
    at: ["AssignmentExpression", "JSXAttribute", "CallExpression"],
    finds(node, view) {
      if (node.type === "JSXAttribute")
        return node.name.type === "JSXIdentifier" && node.name.name === "dangerouslySetInnerHTML";
      if (node.type === "AssignmentExpression") {
        return /^(?:inner|outer)HTML$/.test(targetName(node) ?? "") && !isConstant(node.right);
      }
      if (node.type !== "CallExpression") return false;
      const name = view.nameOf(node.callee) ?? "";
      if (/(?:^|\.)document\.write(?:ln)?$/.test(name)) return !node.arguments.every(isConstant);
      return name.endsWith(".insertAdjacentHTML") && !isConstant(node.arguments[1]);
    },
  },
  {
    name: "insecure-random",
    severity: "medium",
    message: "Math.random can be foretold; use crypto.randomBytes or crypto.randomUUID for what must not be guessed",
    ...onCall(["Math.random"], (_, { around }) => {
      // As far as the function in which it stands, whose name may say what it makes.
      const within = around.findIndex(({ type }) => type.startsWith("Function") || type.startsWith("ArrowFunction"));
      const near = within === -1 ? around : around.slice(0, within + 3);
      return near.some((node) => TOKEN_NAME.test(targetName(node) ?? ""));
    }),
  },
  {
    name: "path-traversal",
    severity: "high",
    message:
      "a path from a request is opened, which may lead anywhere; resolve it and check that it lies in its folder",
    ...onCall(FILE_CALLS, ({ arguments: [path] }) => holdsRequestData(path)),
  },
  {
    name: "request-forgery",
    severity: "high",
    message: "an address from a request is called, which may be an internal one; allow known hosts only",
    ...onCall(
      [
        "fetch",
        "axios",
        "axios.get",
        "axios.post",
        "axios.request",
        "got",
        "http.get",
        "http.request",
        "https.get",
        "https.request",
        "undici.request",
      ],
      ({ arguments: [target] }) => holdsRequestData(target),
    ),
  },
  {
    name: "open-redirect",
    severity: "medium",
    message: "an address from a request is redirected to; allow paths of your own only",
    ...onCall(["res.redirect", "response.redirect", "ctx.redirect", "reply.redirect"], (call) =>
      call.arguments.some((argument) => holdsRequestData(argument)),
    ),
  },
  {
    name: "regexp-from-request",
    severity: "medium",
    message: "a regular expression from a request may take for ever; escape it, or bound its time",
    ...onCall(["RegExp"], ({ arguments: [pattern] }) => holdsRequestData(pattern)),
  },
  {
    name: "unsigned-token",
    severity: "high",
    message: "the algorithm `none` accepts any token; name the one that you sign with",
    at: ["Property"],
    finds(node) {
      if (!/^(?:algorithms?|alg)$/.test(targetName(node) ?? "")) return false;
      return holds(targetValue(node) ?? undefined, (at) => at.type === "Literal" && at.value === "none");
    },
  },
  {
    name: "open-permissions",
    severity: "medium",
    message: "everybody on the machine may write it; use 0o600 or 0o644",
    ...onCall(inModule("fs", "chmod fchmod writeFile mkdir"), (call) =>
      call.arguments.slice(1).some((argument) => {
        const mode = propertyOf(argument, "mode") ?? argument;
        return (
          mode.type === "Literal" && typeof mode.value === "number" && mode.value <= 0o777 && (mode.value & 0o002) !== 0
        );
      }),
    ),
  },
  {
    name: "any-origin",
    severity: "low",
    message: "every web page may read the answers; name the origins that may",
    at: CALLS,
    finds(node) {
      if (node.type !== "CallExpression") return false;
      const [name, value] = node.arguments;
      return textOf(name)?.toLowerCase() === "access-control-allow-origin" && textOf(value) === "*";
    },
  },
];
