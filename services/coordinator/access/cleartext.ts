// What others on the way could read of a coordinator that asks who calls. It only says so: behind a proxy that speaks TLS it may be right.

import { isLoopbackUrl } from "../../../lib/nats/trust/loopback-url.ts";
import { isLoopback } from "./entrance.ts";

/** Where a coordinator is reached, and reaches. */
export interface Exposure {
  /** The address that it listens at. */
  readonly host: string;
  /** Whether it listens with TLS. */
  readonly tls: boolean;
  readonly natsUrls: readonly string[];
  /** Whether settings of TLS to NATS are given, with which nothing else is spoken. */
  readonly natsTls: boolean;
}

/** A line for each way on which credentials, or the contents of tasks, are not encrypted; none where only this machine is on it. */
export function cleartextWarnings({ host, tls, natsUrls, natsTls }: Exposure): readonly string[] {
  const warnings: string[] = [];
  if (!tls && !isLoopback(host)) {
    warnings.push(
      "callers' credentials come in cleartext: others listen to this address without MYCEL_TLS_CERT_FILE, which is right only behind a proxy that speaks TLS",
    );
  }
  const encrypted = natsTls || natsUrls.some((url) => url.trim().startsWith("tls:"));
  if (!encrypted && !natsUrls.every(isLoopbackUrl)) {
    warnings.push("what tasks hold may be read on the way to NATS: neither NATS_CA_FILE nor a tls: URL asks for TLS");
  }
  return warnings;
}
