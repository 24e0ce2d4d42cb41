import { describe, expect, test } from "vitest";
import { ConfigError } from "../../../lib/config/config-error.ts";
import { ACTIONS } from "../../../lib/core/access/action.ts";
import { readPolicy } from "../../../services/coordinator/access/policy-document.ts";

function mistakeIn(text: string): string {
  try {
    readPolicy("policy.yaml", text);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return "none";
}

describe("a policy", () => {
  test("says what roles allow, who has them where, and which claims count", () => {
    const { roles, bindings, claims } = readPolicy(
      "policy.yaml",
      `roles:
  submitter: { actions: [task:submit, task:read], taskTypes: ["echo", "code-*"], labels: { team: a, floor: 1 } }
  ops: { actions: ["queue:*", "metrics:read"] }
bindings:
  - { principal: "token:billing@example", tenant: acme, roles: [submitter, admin] }
  - { principal: "certificate:spiffe://mesh/agent/*", tenant: acme, roles: [agent] }
claims: { tenant: mycel_tenant, roles: mycel_roles }
`,
    );
    expect(roles.get("submitter")).toEqual({
      actions: new Set(["task:submit", "task:read"]),
      taskTypes: ["echo", "code-*"],
      labels: { team: "a", floor: "1" },
    });
    expect(roles.get("ops")).toEqual({
      actions: new Set(["queue:read", "queue:admin", "metrics:read"]),
      taskTypes: ["*"],
      labels: {},
    });
    expect([...roles.get("admin")!.actions]).toEqual(Object.keys(ACTIONS));
    expect(bindings).toEqual([
      { kind: "token", pattern: "billing@example", tenant: "acme", roles: ["submitter", "admin"] },
      { kind: "certificate", pattern: "spiffe://mesh/agent/*", tenant: "acme", roles: ["agent"] },
    ]);
    expect(claims).toEqual({ tenant: "mycel_tenant", roles: "mycel_roles" });
  });

  test("that is empty has the roles that are built in, and binds nobody", () => {
    const { roles, bindings, claims } = readPolicy("policy.yaml", "# nothing\n");
    expect([...roles.keys()]).toEqual(["admin", "submitter", "agent", "reader"]);
    expect([bindings, claims]).toEqual([[], {}]);
  });

  test("may say something else of a built-in role", () => {
    const { roles } = readPolicy("policy.yaml", "roles: { admin: { actions: [task:read] } }");
    expect(roles.get("admin")?.actions).toEqual(new Set(["task:read"]));
  });

  test.for<[string, string]>([
    ["role: {}", "policy.yaml:1:7: role is no key; did you mean roles?"],
    [
      "roles:\n  a: { action: [task:read] }",
      "policy.yaml:2:16: roles.a.action is no key; did you mean actions? (and 1 more mistake)",
    ],
    [
      "roles:\n  a: { actions: [task:reed] }",
      'policy.yaml:2:18: roles.a.actions[0] "task:reed" is no action; did you mean task:read?',
    ],
    ["roles:\n  a: { actions: [] }", "policy.yaml:2:17: roles.a.actions must name an action"],
    ["roles:\n  a: { actions: task:read }", "policy.yaml:2:17: roles.a.actions must be array, is string"],
    ["roles:\n  a: {}", "policy.yaml:2:6: roles.a.actions is missing"],
    [
      "roles:\n  a: { actions: [task:read], taskTypes: [] }",
      "policy.yaml:2:41: roles.a.taskTypes must name a type; leave it out for all",
    ],
    [
      'roles:\n  a: { actions: [task:read], taskTypes: ["a?"] }',
      "policy.yaml:2:42: roles.a.taskTypes[0] must be 1 to 64 characters of A-Z a-z 0-9 _ - *",
    ],
    [
      "roles:\n  a: { actions: [task:read], labels: { __proto__: x } }",
      "policy.yaml:2:40: __proto__ can't be a key here",
    ],
    [
      "roles: { a: { actions: [task:read] }, a: { actions: [task:read] } }",
      "policy.yaml:1:39: is not YAML that can be read here: Map keys must be unique",
    ],
    [
      'bindings: [{ principal: "user:x", tenant: a, roles: [admin] }]',
      'policy.yaml:1:25: bindings[0].principal must be token:<name> or certificate:<name>, is "user:x"',
    ],
    [
      'bindings: [{ principal: "token:x", tenant: a.b, roles: [admin] }]',
      "policy.yaml:1:44: bindings[0].tenant must be 1 to 64 characters of A-Z a-z 0-9 _ -",
    ],
    [
      'bindings: [{ principal: "token:x", tenant: a, roles: [admn] }]',
      "policy.yaml:1:55: bindings[0].roles[0]: there is no role admn; did you mean admin?",
    ],
    ["claims: { tenat: x }", "policy.yaml:1:18: claims.tenat is no key; did you mean tenant?"],
    ["- a", "policy.yaml: the file must be object, is array"],
    [
      "roles: [",
      "policy.yaml:1:9: is not YAML that can be read here: Flow sequence in block collection must be sufficiently indented and end with a ]",
    ],
  ])("is refused in one line with the place of the mistake: %j", ([text, mistake]) => {
    expect(mistakeIn(text)).toBe(mistake);
  });

  test("that grows without bounds as it is read is refused", () => {
    const nine = (name: string, of: string) =>
      `${name}: &${name} [${Array.from({ length: 9 }, () => of).join(", ")}]\n`;
    const text = `a: &a [x]\n${nine("b", "*a")}${nine("c", "*b")}${nine("d", "*c")}${nine("e", "*d")}`;
    expect(mistakeIn(text)).toMatch(/^policy.yaml: Excessive alias count/);
  });
});
