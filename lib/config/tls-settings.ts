// What the settings of TLS say, as the parts of a process take it.
import type { NatsTlsOptions } from "../nats/nats-tls.ts";
import type { ServerTlsOptions } from "../tls/server-credentials.ts";
import { ConfigError } from "./config-error.ts";
import * as listenerTls from "./keys/listener-tls.ts";
import * as natsTls from "./keys/nats-tls.ts";
import type { Settings } from "./settings.ts";

/** The TLS of a coordinator's port; undefined if it speaks none. Throws ConfigError where one setting needs another. */
export function listenerTlsOf(settings: Settings): ServerTlsOptions | undefined {
  const cert = settings.get(listenerTls.certFile);
  const key = settings.get(listenerTls.keyFile);
  const clientCa = settings.get(listenerTls.clientCaFile);
  const crl = settings.get(listenerTls.crlFile);
  const clientCertificates = settings.get(listenerTls.clientCertificates);
  if (cert === undefined || key === undefined) {
    const given = [
      [cert, listenerTls.certFile],
      [key, listenerTls.keyFile],
      [clientCa, listenerTls.clientCaFile],
      [crl, listenerTls.crlFile],
      [clientCertificates, listenerTls.clientCertificates],
    ] as const;
    const one = given.find(([value]) => value !== undefined)?.[1];
    const missing = cert === undefined ? listenerTls.certFile : listenerTls.keyFile;
    if (one === undefined) return undefined;
    throw new ConfigError(`${missing.path} (${missing.variable}) must be given: ${one.path} is`);
  }
  return {
    cert,
    key,
    minVersion: `TLSv${settings.get(listenerTls.minVersion)}`,
    ...(clientCa === undefined ? {} : { clientCa }),
    ...(crl === undefined ? {} : { crl }),
    ...(clientCertificates === undefined ? {} : { clientCertificates }),
  };
}

/** The TLS to NATS; undefined if nothing is said of it. */
export function natsTlsOf(settings: Settings): NatsTlsOptions | undefined {
  const ca = settings.get(natsTls.caFile);
  const cert = settings.get(natsTls.certFile);
  const key = settings.get(natsTls.keyFile);
  const serverName = settings.get(natsTls.serverName);
  const pins = settings.get(natsTls.pins);
  const first = settings.get(natsTls.first);
  const said = {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(serverName === undefined ? {} : { serverName }),
    ...(pins.length === 0 ? {} : { pins }),
    ...(first ? { first } : {}),
  };
  return Object.keys(said).length === 0 ? undefined : said;
}
