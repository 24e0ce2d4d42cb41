// The environment's names for who calls and whom: one table for the command and for agents. Takes the environment; reads none itself.
import { readFile } from "node:fs/promises";
import type { AccessOptions, ClientTlsOptions, TokenSource } from "./access-options.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** What the environment says. Throws RangeError, which names the variables, where two of them contradict each other. */
export function accessFromEnvironment(env: Environment): AccessOptions {
  const value = (name: string): string | undefined => (env[name] === "" ? undefined : env[name]);
  const [token, apiKey] = (["MYCEL_TOKEN", "MYCEL_API_KEY"] as const).map((name) => {
    const file = value(`${name}_FILE`);
    if (file !== undefined && value(name) !== undefined) throw new RangeError(`${name} and ${name}_FILE are both set`);
    return file === undefined ? value(name) : credentialIn(file);
  });
  if (token !== undefined && apiKey !== undefined) throw new RangeError("a token and an API key are both set");
  const tls: { -readonly [Name in keyof ClientTlsOptions]: ClientTlsOptions[Name] } = {};
  const ca = value("MYCEL_CA_FILE");
  const cert = value("MYCEL_CERT_FILE");
  const key = value("MYCEL_KEY_FILE");
  const serverName = value("MYCEL_SERVER_NAME");
  const pins = value("MYCEL_PINS")
    ?.split(",")
    .map((pin) => pin.trim())
    .filter((pin) => pin !== "");
  if (ca !== undefined) tls.ca = ca;
  if (cert !== undefined) tls.cert = cert;
  if (key !== undefined) tls.key = key;
  if (serverName !== undefined) tls.serverName = serverName;
  if (pins !== undefined) tls.pins = pins;
  return {
    ...(Object.keys(tls).length === 0 ? {} : { tls }),
    ...(token === undefined ? {} : { token }),
    ...(apiKey === undefined ? {} : { apiKey }),
    ...(value("MYCEL_ALLOW_CLEARTEXT_CREDENTIALS") === "true" ? { allowCleartextCredentials: true } : {}),
  };
}

/** Reads a credential from its file at each call, so that a renewed one is used at once. */
export function credentialIn(file: string): TokenSource {
  return async () => (await readFile(file, "utf8")).trim();
}
