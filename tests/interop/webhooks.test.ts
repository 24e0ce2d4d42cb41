// What the mesh signs is verified by the official library of another language.
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { rotateSecrets } from "../../lib/core/webhook-secrets.ts";
import { testBody } from "../../lib/wire/webhook-body.ts";
import { secretOf, webhookHeaders } from "../../lib/wire/webhook-signature.ts";
import { runCommand } from "../support/command.ts";
import { findPython } from "./toolchain.ts";

const tools = await findPython();
const secretNumber = (n: number): string => secretOf(new Uint8Array(32).fill(n));

describe.skipIf(tools === undefined)("Python's standardwebhooks", () => {
  const verify = async (message: object): Promise<string> => {
    const options = { env: tools!.env, input: JSON.stringify(message) };
    const { code, stdout, stderr } = await runCommand(
      tools!.python,
      [join(tools!.scripts, "verify_webhook.py")],
      options,
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    return stdout.trim();
  };

  test("verifies a message with each secret of a rotation, and refuses another secret or another body", async () => {
    const nowMs = Date.now();
    const body = testBody(nowMs);
    const secrets = rotateSecrets([{ secret: secretNumber(1), expireMs: undefined }], secretNumber(2), 60_000, nowMs);
    const headers = webhookHeaders({ id: "msg_t_1", atMs: nowMs, body }, secrets);
    expect(await verify({ secret: secretNumber(1), headers, body })).toBe("webhook.test");
    expect(await verify({ secret: secretNumber(2), headers, body })).toBe("webhook.test");
    expect(await verify({ secret: secretNumber(3), headers, body })).toBe("refused: No matching signature found");
    expect(await verify({ secret: secretNumber(2), headers, body: `${body} ` })).toContain("refused");
  });
});
