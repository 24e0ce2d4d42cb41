// What the settings say of credentials, as the coordinator's parts take it. What may be set stands in lib/config/keys/credentials.ts.

import { ConfigError } from "../../lib/config/config-error.ts";
import type { Key } from "../../lib/config/key.ts";
import * as keys from "../../lib/config/keys/credentials.ts";
import type { Settings } from "../../lib/config/settings.ts";
import type { Secrets } from "../../lib/secrets/secrets.ts";
import type { CredentialSettings, JwtSettings } from "./access/credentials.ts";
import { checkAlgorithms } from "./access/jwt/algorithms.ts";
import { jwksUrl } from "./access/jwt/jwks-source.ts";
import { secretKey } from "./access/jwt/secret-key.ts";
import { OperatorKey } from "./access/keys/operator-key.ts";

/** Reads the settings of credentials. Throws ConfigError, and SecretError for a secret that can't be read. */
export async function credentialSettingsOf(settings: Settings, secrets: Secrets): Promise<CredentialSettings> {
  const adminKey = settings.get(keys.adminKey);
  const operatorKey = adminKey === undefined ? undefined : await secrets.open(adminKey);
  if (operatorKey !== undefined) check(keys.adminKey, () => new OperatorKey(operatorKey.current));
  return {
    operatorKey,
    jwt: await jwtSettingsOf(settings, secrets),
  };
}

async function jwtSettingsOf(settings: Settings, secrets: Secrets): Promise<JwtSettings | undefined> {
  const [issuer, audience] = [settings.get(keys.jwtIssuer), settings.get(keys.jwtAudience)];
  const sources = [keys.jwtSecret, keys.jwksFile, keys.jwksUrl];
  const given = sources.filter((key) => settings.sourceOf(key) !== undefined);
  const [source, second] = given;
  if (issuer === undefined && audience === undefined && source === undefined) return undefined;
  if (second !== undefined) throw new ConfigError(`${names(given)} exclude each other: give one`);
  if (source === undefined) throw new ConfigError(`one of ${names(sources)} is required to verify tokens`);
  if (issuer === undefined) throw new ConfigError(`${names([keys.jwtIssuer])} is required to verify tokens`);
  if (audience === undefined) throw new ConfigError(`${names([keys.jwtAudience])} is required to verify tokens`);
  const algorithms = settings.get(keys.jwtAlgorithms);
  if (algorithms !== undefined && source === keys.jwtSecret) {
    throw new ConfigError(`${names([keys.jwtAlgorithms])} is for key pairs: tokens of a secret are signed by HS256`);
  }
  if (algorithms !== undefined) check(keys.jwtAlgorithms, () => checkAlgorithms(algorithms));
  return {
    issuer,
    audience,
    keys: await sourceIn(settings, secrets),
    algorithms,
    clockSkewMs: settings.get(keys.jwtClockSkewMs),
  };
}

async function sourceIn(settings: Settings, secrets: Secrets): Promise<JwtSettings["keys"]> {
  const reference = settings.get(keys.jwtSecret);
  if (reference !== undefined) {
    const secret = await secrets.open(reference);
    check(keys.jwtSecret, () => secretKey(secret.current));
    return { kind: "secret", secret };
  }
  const path = settings.get(keys.jwksFile);
  if (path !== undefined) return { kind: "file", path };
  const url = settings.get(keys.jwksUrl) ?? "";
  check(keys.jwksUrl, () => jwksUrl(url));
  return { kind: "url", url };
}

/** Has those judge a setting who will use it, and tells what they say with the setting's name. */
function check(key: Key, judge: () => unknown): void {
  try {
    judge();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new ConfigError(`${names([key])}: ${error.message}`);
  }
}

function names(of: readonly Key[]): string {
  return of.map(({ path, variable }) => `${path} (${variable})`).join(", ");
}
