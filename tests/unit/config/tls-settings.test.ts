// What the settings of TLS come to, and what they need of one another.
import { expect, test } from "vitest";
import { ConfigError } from "../../../lib/config/config-error.ts";
import * as listenerTls from "../../../lib/config/keys/listener-tls.ts";
import * as natsTls from "../../../lib/config/keys/nats-tls.ts";
import { readSettings, type Settings } from "../../../lib/config/settings.ts";
import { listenerTlsOf, natsTlsOf } from "../../../lib/config/tls-settings.ts";

const settingsOf = (env: Readonly<Record<string, string>>): Settings =>
  readSettings({ keys: [...Object.values(listenerTls), ...Object.values(natsTls)], env });

test("a port without any speaks no TLS, and NATS is spoken to as it wishes", () => {
  expect(listenerTlsOf(settingsOf({}))).toBeUndefined();
  expect(natsTlsOf(settingsOf({ NATS_TLS_FIRST: "false", NATS_PINS: "" }))).toBeUndefined();
});

test("a port is told all that was set", () => {
  const files = { MYCEL_TLS_CERT_FILE: "/c", MYCEL_TLS_KEY_FILE: "/k" };
  expect(listenerTlsOf(settingsOf(files))).toEqual({ cert: "/c", key: "/k", minVersion: "TLSv1.3" });
  const more = {
    ...files,
    MYCEL_TLS_CLIENT_CA_FILE: "/ca",
    MYCEL_TLS_CRL_FILE: "/crl",
    MYCEL_TLS_CLIENT_CERTIFICATES: "optional",
    MYCEL_TLS_MIN_VERSION: "1.2",
  };
  expect(listenerTlsOf(settingsOf(more))).toEqual({
    cert: "/c",
    key: "/k",
    clientCa: "/ca",
    crl: "/crl",
    clientCertificates: "optional",
    minVersion: "TLSv1.2",
  });
});

test.for([
  [
    { MYCEL_TLS_CERT_FILE: "/c" },
    "coordinator.tls.keyFile (MYCEL_TLS_KEY_FILE) must be given: coordinator.tls.certFile is",
  ],
  [
    { MYCEL_TLS_KEY_FILE: "/k" },
    "coordinator.tls.certFile (MYCEL_TLS_CERT_FILE) must be given: coordinator.tls.keyFile is",
  ],
  [
    { MYCEL_TLS_CLIENT_CERTIFICATES: "required" },
    "coordinator.tls.certFile (MYCEL_TLS_CERT_FILE) must be given: coordinator.tls.clientCertificates is",
  ],
] as const)("half of a pair, or what means nothing without TLS, is refused: %j", ([env, line]) => {
  expect(() => listenerTlsOf(settingsOf(env))).toThrow(new ConfigError(line));
});

test("addresses that may connect are checked", () => {
  expect(settingsOf({ MYCEL_ALLOW_FROM: "10.0.0.0/8, ::1" }).get(listenerTls.allowFrom)).toEqual(["10.0.0.0/8", "::1"]);
  expect(() => settingsOf({ MYCEL_ALLOW_FROM: "10.0.0.0/33" })).toThrow(ConfigError);
});

test("NATS is spoken to as the settings say", () => {
  const env = {
    NATS_CA_FILE: "/ca",
    NATS_CERT_FILE: "/c",
    NATS_KEY_FILE: "/k",
    NATS_SERVER_NAME: "nats",
    NATS_PINS: "a,b",
    NATS_TLS_FIRST: "true",
  };
  expect(natsTlsOf(settingsOf(env))).toEqual({
    ca: "/ca",
    cert: "/c",
    key: "/k",
    serverName: "nats",
    pins: ["a", "b"],
    first: true,
  });
});
