// Who holds which key, and how many of them a tenant may have where it is not alone.
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { type IssuedCredentials, IssuedCredentialsSchema } from "../../../gen/mycel/v1/agent_log_pb.ts";
import { KeyHolders } from "../../../services/coordinator/agents/key-holders.ts";

test("keys are known by whom they were issued to, as the bucket changes", () => {
  const holders = new KeyHolders();
  const [one, two] = [issued("K1", "K2"), issued("K2")];
  holders.take("acme.a", one, undefined);
  holders.take("acme.b", two, undefined);
  holders.take("zeta.c", issued("K3"), undefined);
  expect(agentsOf(holders, "K2")).toEqual(["acme.a", "acme.b"]);
  expect([holders.countOf("acme"), holders.countOf("zeta"), holders.tenants]).toEqual([3, 1, 2]);

  holders.take("acme.a", issued("K1"), one);
  expect(agentsOf(holders, "K2")).toEqual(["acme.b"]);
  holders.take("acme.b", undefined, two);
  expect(agentsOf(holders, "K2")).toEqual([]);
  expect(agentsOf(holders, "K1")).toEqual(["acme.a"]);
  holders.take("acme.a", undefined, issued("K1"));
  expect([holders.countOf("acme"), holders.tenants]).toEqual([0, 1]);
});

function issued(...keys: string[]): IssuedCredentials {
  return create(IssuedCredentialsSchema, { credentials: keys.map((publicKey) => ({ publicKey })) });
}

function agentsOf(holders: KeyHolders, key: string): string[] {
  return holders.of(key).map(({ agent }) => agent);
}
