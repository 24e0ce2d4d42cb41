// Decides which URLs an outbound request may name at all, before any name is looked up. Pure.
import { isIP } from "node:net";
import { type Address, readAddress } from "./address-kind.ts";
import { bareHost } from "./allow-list.ts";
import { OutboundError } from "./outbound-error.ts";

/** Longest URL, in UTF-16 code units. */
export const MAX_URL_LENGTH = 8_192;

/** Where to connect to. */
export interface Target {
  /** The host as the URL names it: lower case, punycode; an IPv6 address without its brackets. */
  readonly host: string;
  /** The address, if the host is one: decimal, octal, hex and short forms are addresses too. */
  readonly literal: Address | undefined;
  /** 1–65535. */
  readonly port: number;
  /** Whether TLS is spoken. */
  readonly secure: boolean;
}

/** A URL that may be asked for, and where it leads. */
export interface UrlTarget extends Target {
  /** Without a fragment. */
  readonly url: URL;
}

/** Reads a URL, absolute or relative to `base`. Throws OutboundError INVALID_URL with the reason. */
export function readUrl(text: string, base?: URL): UrlTarget {
  if (text.length > MAX_URL_LENGTH) {
    throw new OutboundError(
      "INVALID_URL",
      `the URL has ${text.length} characters, at most ${MAX_URL_LENGTH} are allowed`,
    );
  }
  const url = URL.parse(text, base?.href);
  if (url === null) throw new OutboundError("INVALID_URL", `${shown(text)} is no URL`);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new OutboundError(
      "INVALID_URL",
      `the URL's scheme is ${shown(url.protocol.slice(0, -1))}, must be http or https`,
    );
  }
  if (url.username !== "" || url.password !== "") {
    // Not quoted: the message would carry the password into logs.
    throw new OutboundError("INVALID_URL", "the URL carries a user name or password; send an authorization header");
  }
  url.hash = "";
  const secure = url.protocol === "https:";
  const port = url.port === "" ? (secure ? 443 : 80) : Number(url.port);
  return { url, ...readHost(url.hostname, port), secure };
}

/** Reads a host and a port that are no URL. Throws OutboundError INVALID_URL with the reason. */
export function readHostPort(host: string, port: number): Target {
  const bracketed = isIP(host) === 6 ? `[${host}]` : host;
  const url = /[/?#@\\\s]/.test(bracketed) ? null : URL.parse(`http://${bracketed}:1/`);
  if (url === null || url.port !== "1") throw new OutboundError("INVALID_URL", `${shown(host)} is no host`);
  return { ...readHost(url.hostname, port), secure: false };
}

/** Host and port as people write them. */
export function hostPort({ host, port }: Target): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function readHost(hostname: string, port: number): Pick<Target, "host" | "literal" | "port"> {
  const host = hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new OutboundError("INVALID_URL", `the port is ${port}, must be from 1 to 65535`);
  }
  if (bareHost(host) === "" || host.length > 254) throw new OutboundError("INVALID_URL", `${shown(host)} is no host`);
  return { host, literal: readAddress(host), port };
}

/** As it may stand in a message: without what may be a password. URLs take a backslash for a slash. */
function shown(text: string): string {
  const start = text.search(/[/\\]{2}/);
  const end = text.lastIndexOf("@");
  const safe = start !== -1 && end > start ? `${text.slice(0, start)}//…${text.slice(end)}` : text;
  return JSON.stringify(safe.slice(0, 100));
}
