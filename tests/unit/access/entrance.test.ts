import { createContextValues } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ConfigError } from "../../../lib/config/config-error.ts";
import { createCertificateAuthenticator } from "../../../services/coordinator/access/certificate-authenticator.ts";
import { checkOpen, isLoopback } from "../../../services/coordinator/access/entrance.ts";
import { principalOf } from "../../../services/coordinator/rpc/caller.ts";
import { policyOf } from "../../support/fake-policy.ts";

test.for<[string, boolean]>([
  ["127.0.0.1", true],
  ["127.1.2.3", true],
  ["::1", true],
  ["localhost", true],
  ["0.0.0.0", false],
  ["::", false],
  ["10.0.0.1", false],
  ["::ffff:10.0.0.1", false],
  ["localhost.example", false],
  ["", false],
])("whether only this machine reaches %j: %j", ([host, only]) => {
  expect(isLoopback(host)).toBe(only);
});

test("an open mesh is refused where others reach it, in one line", () => {
  checkOpen("127.0.0.1");
  expect(() => checkOpen("0.0.0.0")).toThrow(
    new ConfigError(
      "coordinator.listen (MYCEL_LISTEN) is 0.0.0.0, which others can reach, but nobody would have to show who it is: " +
        "set access.adminKey (MYCEL_ADMIN_KEY), access.jwt.issuer (MYCEL_JWT_ISSUER) or access.policy (MYCEL_POLICY), or listen on 127.0.0.1",
    ),
  );
});

test("a call that passed no gate is nobody's", () => {
  expect(() => principalOf({ values: createContextValues() })).toThrow(
    expect.objectContaining({ reason: "CREDENTIAL_MISSING" }),
  );
});

const CERTIFICATE = {
  commonName: "worker",
  uris: ["spiffe://mesh/other", "spiffe://mesh/agent"],
  expiresMs: 5_000,
  fingerprint: "ab",
};

test("a certificate stands for the first of its names that is bound to a role, and ends when it does", () => {
  const policy = policyOf({ "certificate:spiffe://mesh/agent": ["reader"], "certificate:worker": ["admin"] }, "acme");
  const known = createCertificateAuthenticator(policy);
  expect(known.authenticate({ peer: { address: "", certificate: CERTIFICATE } })).toEqual({
    kind: "certificate",
    id: "spiffe://mesh/agent",
    tenant: "acme",
    grants: policy.grantsOf(["reader"]),
    expiresMs: 5_000,
  });
  expect(known.authenticate({ peer: { address: "", certificate: { ...CERTIFICATE, uris: [] } } })).toMatchObject({
    id: "worker",
    grants: policy.grantsOf(["admin"]),
  });
});

test("a certificate that is bound to nothing has a name, and may do nothing", () => {
  const known = createCertificateAuthenticator(policyOf());
  expect(known.authenticate({ peer: { address: "", certificate: CERTIFICATE } })).toMatchObject({
    id: "spiffe://mesh/other",
    grants: [],
  });
  const nameless = { ...CERTIFICATE, uris: [], commonName: "" };
  expect(known.authenticate({ peer: { address: "", certificate: nameless } })).toBeUndefined();
});

test("who shows anything else is not known by a certificate, however bad that is", () => {
  const known = createCertificateAuthenticator(policyOf({ "certificate:worker": ["admin"] }));
  expect(known.authenticate({ authorization: "", peer: { address: "", certificate: CERTIFICATE } })).toBeUndefined();
  expect(known.authenticate({ peer: { address: "" } })).toBeUndefined();
});

test("a common name that looks like a URI does not pass for one", () => {
  const known = createCertificateAuthenticator(policyOf({ "certificate:spiffe://mesh/admin": ["admin"] }));
  const forged = { ...CERTIFICATE, uris: [], commonName: "spiffe://mesh/admin" };
  expect(known.authenticate({ peer: { address: "", certificate: forged } })).toBeUndefined();
  const both = { ...forged, uris: ["spiffe://mesh/agent/a"] };
  expect(known.authenticate({ peer: { address: "", certificate: both } })).toMatchObject({
    id: "spiffe://mesh/agent/a",
    grants: [],
  });
});
