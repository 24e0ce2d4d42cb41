// The settings by which a stock agent shows who it is and knows whom it talks to; the `mycel` command has the same, by the same variables.
// One entry a key.
import type { SecretReference } from "../../secrets/secret-reference.ts";
import type { Key } from "../key.ts";
import { boolean, file, list, secret, text } from "../kinds.ts";

export const token: Key<SecretReference | undefined> = secret({
  path: "worker.access.token",
  variable: "MYCEL_TOKEN",
  doc: "The token (JWT) to show to coordinators. Either this or an API key.",
});

export const apiKey: Key<SecretReference | undefined> = secret({
  path: "worker.access.apiKey",
  variable: "MYCEL_API_KEY",
  doc: "The API key to show to coordinators, as `mycel keys create` printed it. Either this or a token.",
});

export const allowCleartext: Key<boolean> = boolean({
  path: "worker.access.allowCleartextCredentials",
  variable: "MYCEL_ALLOW_CLEARTEXT_CREDENTIALS",
  fallback: false,
  doc:
    "Whether credentials are also shown over connections that are not encrypted, to other hosts. Whoever is on the way can read and use " +
    "them: for networks that encrypt by themselves.",
});

export const caFile: Key<string | undefined> = file({
  path: "worker.tls.caFile",
  variable: "MYCEL_CA_FILE",
  fallback: undefined,
  fallbackText: "the roots of Node",
  doc: "The roots that coordinators' certificates may come from, in PEM.",
});

export const certFile: Key<string | undefined> = file({
  path: "worker.tls.certFile",
  variable: "MYCEL_CERT_FILE",
  fallback: undefined,
  doc: "The agent's own certificate with its chain, in PEM, for coordinators that ask for one.",
});

export const keyFile: Key<string | undefined> = file({
  path: "worker.tls.keyFile",
  variable: "MYCEL_KEY_FILE",
  fallback: undefined,
  doc: "The private key of that certificate, in PEM.",
});

export const serverName: Key<string | undefined> = text({
  path: "worker.tls.serverName",
  variable: "MYCEL_SERVER_NAME",
  fallback: undefined,
  fallbackText: "the URL's host",
  doc: "The name that coordinators' certificates must be for.",
});

export const pins: Key<readonly string[]> = list({
  path: "worker.tls.pins",
  variable: "MYCEL_PINS",
  fallback: [],
  allowed: "a list of pins",
  doc: "The public keys of which a coordinator must have one, as `mycel certs` prints them.",
});
