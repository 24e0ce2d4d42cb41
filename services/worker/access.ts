// How the stock agent shows who it is and knows whom it talks to: from settings to what the SDK takes.
import * as keys from "../../lib/config/keys/worker-access.ts";
import type { Settings } from "../../lib/config/settings.ts";
import { natsTlsOf } from "../../lib/config/tls-settings.ts";
import type { SecretReference } from "../../lib/secrets/secret-reference.ts";
import type { Secrets } from "../../lib/secrets/secrets.ts";
import type { AccessOptions, ClientTlsOptions, NatsTlsOptions, TokenSource } from "../../sdk/agent/index.ts";

/** The options. Throws SecretError. What contradicts itself in them is refused by the SDK. */
export async function accessOf(
  settings: Settings,
  secrets: Secrets,
): Promise<AccessOptions & { readonly natsTls?: NatsTlsOptions }> {
  const [token, apiKey] = [settings.get(keys.token), settings.get(keys.apiKey)];
  const tls = tlsOf(settings);
  const natsTls = natsTlsOf(settings);
  return {
    ...(token === undefined ? {} : { token: await sourceOf(token, secrets) }),
    ...(apiKey === undefined ? {} : { apiKey: await sourceOf(apiKey, secrets) }),
    ...(Object.keys(tls).length === 0 ? {} : { tls }),
    ...(natsTls === undefined ? {} : { natsTls }),
    allowCleartextCredentials: settings.get(keys.allowCleartext),
  };
}

/** One that may be renewed is asked for at each call. */
async function sourceOf(reference: SecretReference, secrets: Secrets): Promise<string | TokenSource> {
  const secret = await secrets.open(reference);
  return reference.place.kind === "value" ? secret.current.reveal() : () => secret.current.reveal();
}

function tlsOf(settings: Settings): ClientTlsOptions {
  const ca = settings.get(keys.caFile);
  const cert = settings.get(keys.certFile);
  const key = settings.get(keys.keyFile);
  const serverName = settings.get(keys.serverName);
  const pins = settings.get(keys.pins);
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(serverName === undefined ? {} : { serverName }),
    ...(pins.length === 0 ? {} : { pins }),
  };
}
