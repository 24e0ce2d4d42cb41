// The settings of how connections to NATS are encrypted, of coordinators and of stock agents. One entry a key.
import type { Key } from "../key.ts";
import { boolean, file, list, text } from "../kinds.ts";

export const caFile: Key<string | undefined> = file({
  path: "nats.tls.caFile",
  variable: "NATS_CA_FILE",
  fallback: undefined,
  fallbackText: "the roots of Node",
  doc: "The roots that NATS servers' certificates may come from, in PEM. With any setting of TLS here, or a `tls:` URL, no server is talked to without TLS. Stock agents that have none of these use their own (worker.tls) where a URL is a `tls:` one.",
});

export const certFile: Key<string | undefined> = file({
  path: "nats.tls.certFile",
  variable: "NATS_CERT_FILE",
  fallback: undefined,
  doc: "The certificate to show to NATS servers, with its chain, in PEM. Read again for each connection, as are the other files here.",
});

export const keyFile: Key<string | undefined> = file({
  path: "nats.tls.keyFile",
  variable: "NATS_KEY_FILE",
  fallback: undefined,
  doc: "The private key of that certificate, in PEM, not encrypted.",
});

export const serverName: Key<string | undefined> = text({
  path: "nats.tls.serverName",
  variable: "NATS_SERVER_NAME",
  fallback: undefined,
  fallbackText: "the URL's host",
  doc: "The name that NATS servers' certificates must be for.",
});

export const pins: Key<readonly string[]> = list({
  path: "nats.tls.pins",
  variable: "NATS_PINS",
  fallback: [],
  allowed: "a list of pins",
  doc: "The public keys of which a NATS server must have one, as `mycel certs` prints them.",
});

export const first: Key<boolean> = boolean({
  path: "nats.tls.handshakeFirst",
  variable: "NATS_TLS_FIRST",
  fallback: false,
  doc: "Whether the handshake comes before the server says a word, as its `handshake_first` has it. Both sides must be told the same.",
});
