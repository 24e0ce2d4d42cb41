// What a local mesh's agents do not learn of the user's environment.
import { expect, test } from "vitest";
import { agentEnv } from "../../../cli/up/agent-env.ts";

test("agents get none of what is for coordinators alone", () => {
  const kept = {
    PATH: "/bin",
    MYCEL_API_KEY: "mk_agents",
    MYCEL_CONFIG: "mycel.yaml",
    MYCEL_LOG_LEVEL: "debug",
    MYCEL_CONCURRENCY: "4",
    OPENAI_API_KEY: "for inference",
    VAULT_TOKEN: "hvs.inference",
    NATS_CA_FILE: "ca.pem",
    NODE_NO_WARNINGS: "1",
  };
  const withheld = {
    MYCEL_ADMIN_KEY: "mk_operator",
    MYCEL_ADMIN_KEY_FILE: "/run/admin",
    MYCEL_JWT_SECRET: "secret",
    MYCEL_JWT_SECRET_FILE: "/run/jwt",
    NATS_URL: "nats://user:password@nats:4222",
    MYCEL_NATS_TRUST: "trust/coordinator",
    MYCEL_TLS_KEY_FILE: "key.pem",
    MYCEL_LISTEN: "127.0.0.1:8080",
  };
  expect(agentEnv({ ...kept, ...withheld })).toEqual(kept);
});
