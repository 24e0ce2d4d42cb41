import { describe, expect, test } from "vitest";
import { environmentOf, openConfiguredSecrets } from "../../../lib/config/configured-secrets.ts";
import { customKey, customUrl, models, openaiUrl } from "../../../lib/config/keys/inference.ts";
import { ALL_KEYS } from "../../../lib/config/keys/tables.ts";
import { type Environment, readSettings } from "../../../lib/config/settings.ts";
import { Redactor } from "../../../lib/secrets/redactor.ts";
import { logLines } from "../../support/log-lines.ts";

const open = async (env: Environment) => {
  const [settings, redactor, lines] = [readSettings({ keys: ALL_KEYS, env }), new Redactor(), logLines()];
  const secrets = await openConfiguredSecrets({ settings, redactor, logger: lines.logger });
  return { settings, redactor, lines, secrets };
};

describe("Vault", () => {
  test.for<[Environment, string]>([
    [{}, "vault.token (VAULT_TOKEN) must be given: Vault is set up with vault.auth token"],
    [{ MYCEL_VAULT_AUTH: "approle" }, "vault.roleId (MYCEL_VAULT_ROLE_ID) must be given"],
    [{ MYCEL_VAULT_AUTH: "approle", MYCEL_VAULT_ROLE_ID: "r" }, "vault.secretId (MYCEL_VAULT_SECRET_ID) must be given"],
    [{ MYCEL_VAULT_AUTH: "kubernetes" }, "vault.kubernetesRole (MYCEL_VAULT_KUBERNETES_ROLE) must be given"],
    [
      { VAULT_TOKEN: "hvs.x", VAULT_CACERT: "/nowhere/ca.pem" },
      "vault.caFile (VAULT_CACERT): /nowhere/ca.pem cannot be read: ENOENT",
    ],
  ])("with %j is not set up, which is said", async ([env, line]) => {
    await expect(open({ VAULT_ADDR: "https://vault:8200", ...env })).rejects.toThrow(line);
  });

  test.for([
    ["http://vault.internal:8200", 1],
    ["https://vault.internal:8200", 0],
    ["http://127.0.0.1:8200", 0],
    ["http://[::1]:8200", 0],
  ] as const)("at %s is warned of %i times", async ([address, times]) => {
    const { lines, secrets } = await open({ VAULT_ADDR: address, VAULT_TOKEN: "hvs.x" });
    expect(lines.of("vault is reached without TLS: secrets can be read on the way")).toHaveLength(times);
    await secrets[Symbol.asyncDispose]();
  });

  test.for([
    ["ftp://vault", "must be an http or https URL"],
    ["https://me:hunter2@vault", "must hold no user name and no password"],
    ["https://vault?x=hunter2", "must end with its path"],
  ])("at %s cannot be", async ([address, line]) => {
    const failed = open({ VAULT_ADDR: address, VAULT_TOKEN: "hvs.x" });
    await expect(failed).rejects.toThrow(line);
    await expect(failed).rejects.not.toThrow("hunter2");
  });
});

test("what takes variables gets those that are set, secrets opened, and no others", async () => {
  const { settings, secrets, redactor } = await open({
    MYCEL_INFERENCE_URL: "http://127.0.0.1/v1",
    MYCEL_INFERENCE_KEY: "hunter2hunter2",
    MYCEL_INFERENCE_MODELS: "a, b*",
    OPENAI_BASE_URL: "",
  });
  expect(await environmentOf(settings, [customUrl, customKey, models, openaiUrl], secrets)).toEqual({
    MYCEL_INFERENCE_URL: "http://127.0.0.1/v1",
    MYCEL_INFERENCE_KEY: "hunter2hunter2",
    MYCEL_INFERENCE_MODELS: "a,b*",
  });
  expect(redactor.clean("hunter2hunter2")).toBe("[redacted]");
  await secrets[Symbol.asyncDispose]();
});
