// The settings of who may connect to a coordinator's port, and how it is encrypted. One entry a key.
import { readPeerAllowList } from "../../rpc/listener/peer-allow-list.ts";
import type { Key } from "../key.ts";
import { file, list, oneOf } from "../kinds.ts";

export const allowFrom: Key<readonly string[]> = list({
  path: "coordinator.allowFrom",
  variable: "MYCEL_ALLOW_FROM",
  fallback: [],
  fallbackText: "everybody",
  allowed: "a list of IP addresses and ranges, e.g. 10.0.0.0/8",
  check: (entries) => void readPeerAllowList(entries),
  doc: "The addresses and ranges that may connect; all others are cut off before anything is read. What counts is the other end of the connection: behind a proxy, the proxy.",
});

export const certFile: Key<string | undefined> = file({
  path: "coordinator.tls.certFile",
  variable: "MYCEL_TLS_CERT_FILE",
  fallback: undefined,
  fallbackText: "no TLS",
  doc: "The port's certificate with its chain, in PEM. Read again when it changes, as are the other files here; running connections go on.",
});

export const keyFile: Key<string | undefined> = file({
  path: "coordinator.tls.keyFile",
  variable: "MYCEL_TLS_KEY_FILE",
  fallback: undefined,
  doc: "The private key of that certificate, in PEM, not encrypted.",
});

export const clientCaFile: Key<string | undefined> = file({
  path: "coordinator.tls.clientCaFile",
  variable: "MYCEL_TLS_CLIENT_CA_FILE",
  fallback: undefined,
  doc: "The roots that clients' certificates may come from, in PEM.",
});

export const clientCertificates: Key<"off" | "optional" | "required" | undefined> = oneOf(
  ["off", "optional", "required"],
  {
    path: "coordinator.tls.clientCertificates",
    variable: "MYCEL_TLS_CLIENT_CERTIFICATES",
    fallback: undefined,
    fallbackText: "required with clientCaFile, off without",
    doc: "Whether clients show certificates. One that is shown must be good, also where none is required.",
  },
);

export const crlFile: Key<string | undefined> = file({
  path: "coordinator.tls.crlFile",
  variable: "MYCEL_TLS_CRL_FILE",
  fallback: undefined,
  doc: "The lists of revoked client certificates, in PEM, one of each authority in clientCaFile. A list that is over lets nobody in.",
});

export const minVersion: Key<"1.2" | "1.3"> = oneOf(["1.2", "1.3"], {
  path: "coordinator.tls.minVersion",
  variable: "MYCEL_TLS_MIN_VERSION",
  fallback: "1.3",
  doc: "The oldest version of TLS that is spoken.",
});
