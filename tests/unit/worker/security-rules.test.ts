// The security rules: what each finds, what it lets pass, and that its place and number are right.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { Findings, SourceFinding } from "../../../services/worker/code-analysis/code-finding.ts";
import { mergedFindings } from "../../../services/worker/code-analysis/code-finding.ts";
import type { Dialect } from "../../../services/worker/code-analysis/language.ts";
import { SECURITY_RULES } from "../../../services/worker/code-analysis/security/security-rules.ts";
import { ruleBook } from "../../../services/worker/code-analysis/security/security-scan.ts";
import { analyseSource } from "../../../services/worker/code-analysis/source-analysis.ts";

function findingsIn(text: string, dialect: Dialect = "ts", rules: readonly string[] = []): Findings<SourceFinding> {
  let found: Findings<SourceFinding> = { count: 0, listed: [] };
  analyseSource(text, dialect, 0, { rules: ruleBook(rules), onFindings: (findings) => (found = findings) });
  return found;
}

const rulesIn = (text: string, dialect?: Dialect): string[] => findingsIn(text, dialect).listed.map(({ rule }) => rule);

const EXEC = 'import { exec } from "node:child_process";';
const CRYPTO = 'import * as crypto from "crypto";';
// Put together, so that nobody takes these for real ones.
const KEY = ["AKIA", "ABCDEFGHIJKLMNOP"].join("");

const FOUND: [rule: string, source: string, dialect?: Dialect][] = [
  ["no-eval", "eval(code)"],
  ["no-eval", 'new Function("a", "return a")'],
  ["no-eval", 'import vm from "node:vm"; vm.runInThisContext(code);'],
  ["implied-eval", 'setTimeout("go()", 10)'],
  ["implied-eval", "setInterval(`go(${x})`, 10)"],
  ["shell-injection", `${EXEC} exec(\`ls \${dir}\`);`],
  ["shell-injection", `${EXEC} exec("ls " + dir);`],
  ["shell-injection", 'const { execSync: run } = require("child_process"); run("ls " + dir);'],
  ["shell-injection", 'const cp = require("child_process"); cp.exec("rm -r " + dir, () => {});'],
  ["shell-injection", 'require("child_process").exec(`x ${y}`)'],
  ["shell-injection", 'import { spawn } from "child_process"; spawn("sh", ["-c", "ls " + dir], { shell: true });'],
  [
    "shell-injection",
    `${EXEC} import { promisify } from "util"; const run = promisify(exec); await run(\`ls \${dir}\`);`,
  ],
  ["hard-coded-secret", 'const password = "correct-horse";'],
  ["hard-coded-secret", 'connect({ apiKey: "a1b2c3d4e5f6" })'],
  ["hard-coded-secret", 'config.clientSecret = "a1b2c3d4e5f6";'],
  ["hard-coded-secret", 'class A { #accessToken = "a1b2c3d4e5f6"; }'],
  ["secret-format", `call("${KEY}")`],
  ["secret-format", `call(\`\${a} ${KEY}\`)`],
  ["weak-hash", `${CRYPTO} crypto.createHash("MD5");`],
  ["weak-hash", 'import { createHash as h } from "node:crypto"; h("sha1");'],
  ["weak-hash", 'crypto.subtle.digest("SHA-1", data)'],
  ["weak-cipher", `${CRYPTO} crypto.createCipheriv("des-ede3-cbc", k, iv);`],
  ["weak-cipher", `${CRYPTO} crypto.createCipheriv("aes-128-ECB", k, null);`],
  ["tls-not-verified", "https.get(url, { rejectUnauthorized: false })"],
  ["tls-not-verified", 'process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0"'],
  ["tls-not-verified", 'process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = 0'],
  ["old-tls", 'connect({ minVersion: "TLSv1.1" })'],
  ["old-tls", 'connect({ secureProtocol: "SSLv3_method" })'],
  ["sql-injection", "db.query(`SELECT * FROM users WHERE id = ${id}`)"],
  ["sql-injection", 'const text = "DELETE FROM users WHERE id = " + id + " LIMIT 1";'],
  ["sql-injection", "run(`insert into t values (${a})`)"],
  ["unsafe-html", "element.innerHTML = name"],
  ["unsafe-html", "document.write(`<b>${name}</b>`)"],
  ["unsafe-html", 'element.insertAdjacentHTML("beforeend", name)'],
  ["unsafe-html", "const a = <p dangerouslySetInnerHTML={{ __html: x }} />;", "tsx"],
  ["insecure-random", "const token = Math.random().toString(36);"],
  ["insecure-random", "function createSessionId() { return String(Math.random()); }"],
  ["insecure-random", "const newToken = () => Math.random();"],
  ["path-traversal", 'import { readFile } from "fs/promises"; await readFile(join(dir, req.query.file));'],
  ["path-traversal", 'const fs = require("fs"); fs.promises.readFile("x/" + req.params.name);'],
  ["path-traversal", "res.sendFile(`/files/${req.params.name}`)"],
  ["request-forgery", "await fetch(req.body.url)"],
  ["open-redirect", "res.redirect(req.query.next)"],
  ["regexp-from-request", "new RegExp(req.query.filter)"],
  ["unsigned-token", 'jwt.verify(token, key, { algorithms: ["HS256", "none"] })'],
  ["open-permissions", 'import fs from "fs"; fs.chmodSync(path, 0o777);'],
  ["open-permissions", 'import { mkdir } from "fs/promises"; mkdir(path, { mode: 0o777, recursive: true });'],
  ["any-origin", 'response.setHeader("Access-Control-Allow-Origin", "*")'],
];

test.for(FOUND)("%s finds %s", ([rule, source, dialect]) => {
  expect(rulesIn(source, dialect)).toEqual([rule]);
});

test.for<[what: string, source: string, dialect?: Dialect]>([
  ["a method called eval", "model.eval(x); evaluate(x);"],
  ["a timer of a function", "setTimeout(() => go(), 10); setTimeout(go, 10);"],
  ["a constant command", `${EXEC} exec("ls -l"); exec("ls " + "-l");`],
  [
    "a list of arguments",
    'import { execFile, spawn } from "child_process"; execFile("ls", [`${dir}`]); spawn("ls", [dir]);',
  ],
  ["a spawn whose shell is off", 'import { spawn } from "child_process"; spawn("ls", [`${dir}`], { shell: false });'],
  ["another exec", "regexp.exec(`a${b}`); db.exec(`pragma ${x}`);"],
  ["a secret from elsewhere", 'const password = process.env.PASSWORD; const apiKey = "";'],
  [
    "a placeholder of a secret",
    'const password = "changeme"; const apiKey = "your-api-key"; const secret = "<secret>";',
  ],
  ["a text about secrets", 'const passwordHint = "At least eight characters";'],
  ["a strong hash", `${CRYPTO} crypto.createHash("sha256"); crypto.createCipheriv("aes-256-gcm", k, iv);`],
  ["a hash of another library", 'createHash("md5")'],
  ["verified TLS", 'connect({ rejectUnauthorized: true, minVersion: "TLSv1.2" })'],
  ["SQL with parameters", 'db.query("SELECT * FROM users WHERE id = $1", [id])'],
  ["SQL of a tag", "sql`SELECT * FROM users WHERE id = ${id}`"],
  [
    "a sentence that starts as SQL does",
    "say(`Select a colour, ${name}`); say(`Delete ${name}?`); say(`Update ${name} now`);",
  ],
  ["constant HTML", 'element.innerHTML = "<b>hi</b>"; element.textContent = name;'],
  ["a colour at random", "const colour = Math.random(); function shuffle() { return Math.random(); }"],
  ["a path of one's own", 'import fs from "fs"; fs.readFile(path); fs.readFile(`./${name}`);'],
  ["what is not opened", "log(req.query.file)"],
  ["signed tokens", 'jwt.verify(token, key, { algorithms: ["HS256"] })'],
  ["narrow permissions", 'import fs from "fs"; fs.chmodSync(path, 0o644); fs.fchmod(3, 0o600);'],
  ["one origin", 'response.setHeader("Access-Control-Allow-Origin", "https://example.com")'],
])("nothing is found in %s", ([, source, dialect]) => {
  expect(rulesIn(source, dialect)).toEqual([]);
});

test("every rule has a test that it finds something and a sentence without the text of the file", () => {
  expect(new Set(FOUND.map(([rule]) => rule))).toEqual(new Set(SECURITY_RULES.map(({ name }) => name)));
  expect(new Set(SECURITY_RULES.map(({ name }) => name)).size).toBe(SECURITY_RULES.length);
  for (const { name, message, at } of SECURITY_RULES) {
    expect(name).toMatch(/^[a-z]+(?:-[a-z]+)*$/);
    expect(message.length).toBeLessThanOrEqual(160);
    expect(at.length).toBeGreaterThan(0);
  }
});

test("a finding tells its place by line and column, in the order of the text", () => {
  const { listed, count } = findingsIn('const a = 1;\n  eval(x); element.innerHTML = b;\n"😀"; eval(y);\n');
  expect(count).toBe(3);
  expect(listed.map(({ rule, line, column }) => [rule, line, column])).toEqual([
    ["no-eval", 2, 3],
    ["unsafe-html", 2, 12],
    ["no-eval", 3, 7],
  ]);
});

test("a source made to be slow takes no longer than its length asks for", () => {
  const chain = `a${".b".repeat(7_000)}`;
  const sum = Array.from({ length: 3_500 }, (_, i) => (i % 2 === 0 ? "x" : '"y"')).join(" + ");
  const calls = `fetch(${chain}); res.redirect(${sum});`;
  expect(findingsIn(calls).count).toBe(0);
});

test("only the rules that were asked for speak, and without any the parser alone", () => {
  const text = "eval(x); element.innerHTML = b;";
  expect(findingsIn(text, "ts", ["unsafe-html"]).listed.map(({ rule }) => rule)).toEqual(["unsafe-html"]);
  let found: Findings<SourceFinding> | undefined;
  analyseSource(`${text} const a;`, "ts", 0, { onFindings: (findings) => (found = findings) });
  expect(found?.listed).toMatchObject([{ severity: "error", rule: "syntax", line: 1 }]);
});

test("what the parser complains of is a finding with its place, also of a source that it cannot read at all", () => {
  expect(findingsIn("let a;\nconst b;\n").listed).toMatchObject([
    { severity: "error", rule: "syntax", line: 2, column: 7 },
  ]);
  expect(findingsIn("(".repeat(5_000)).listed).toEqual([
    { severity: "error", rule: "syntax", message: "nested too deeply to be parsed safely" },
  ]);
});

test("of a source with very many findings the first hundred are listed and all are counted", () => {
  const { count, listed } = findingsIn("eval(x);\n".repeat(250));
  expect(count).toBe(250);
  expect(listed.map(({ line }) => line)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
});

test("of many files the most severe findings are told, at most 500, and all are counted", () => {
  const files = Array.from({ length: 30 }, (_, i) => ({
    count: 1_000,
    listed: Array.from({ length: 100 }, (_, line) => ({
      file: `${i}.ts`,
      severity: line === 99 ? ("critical" as const) : ("low" as const),
      rule: "r",
      line,
      message: "m",
    })),
  }));
  const { count, listed } = mergedFindings(files);
  expect(count).toBe(30_000);
  expect(listed).toHaveLength(500);
  expect(listed.slice(0, 31).map(({ severity }) => severity)).toEqual([
    ...Array.from({ length: 30 }, () => "critical"),
    "low",
  ]);
});

test("docs/tasks.md lists the rules as they are", () => {
  const text = readFileSync(new URL("../../../docs/tasks.md", import.meta.url), "utf8");
  const listed = Array.from(text.matchAll(/^\| `([\w-]+)` \| (\w+) \| (.+) \|$/gm), (row) => row.slice(1));
  expect(listed).toEqual(SECURITY_RULES.map(({ name, severity, message }) => [name, severity, message]));
});
