// The grpcurl call that does what a call of ours does, as a line for a shell. Pure.
import { type DescMethod, type Message, toJsonString } from "@bufbuild/protobuf";

/** How a call shows who makes it, and whom it trusts. Nothing here is secret. */
export interface ShownSecurity {
  /** A file with the certificates to trust. */
  readonly caFile?: string | undefined;
  /** The file of the certificate to show, and that of its key. */
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  /** The name that the server's certificate must have, if not that of its host. */
  readonly serverName?: string | undefined;
  /** Whether any certificate is trusted. */
  readonly insecure?: boolean;
  /** The variable that holds the token, and the file that it is read from if it is in one. */
  readonly credential?: { readonly variable: string; readonly file: string | undefined } | undefined;
}

/** A call to be shown. */
export interface ShownCall extends ShownSecurity {
  /** The coordinator's URL. */
  readonly url: string;
  readonly method: DescMethod;
  /** What is sent: one message, or several of a stream. */
  readonly requests: readonly Message[];
}

// Linux takes no argument of 128 KiB; what is longer, or more than one message, goes in as grpcurl's standard input.
const MAX_ARGUMENT_LENGTH = 100_000;

/** Writes the call down. */
export function grpcurlCall({ url, method, requests, ...security }: ShownCall): string {
  const documents = requests.map((request) => toJsonString(method.input, request));
  const only = documents.length === 1 ? documents[0] : undefined;
  const inline = only !== undefined && only.length <= MAX_ARGUMENT_LENGTH ? only : undefined;
  const words = [
    "grpcurl",
    ...securityOf(new URL(url), security),
    ...credentialOf(security),
    "-d",
    inline ?? "@",
    hostOf(new URL(url)),
    `${method.parent.typeName}/${method.name}`,
  ];
  const { credential } = security;
  // Into grpcurl's environment and not onto its command line, which everybody on the machine can read.
  const before = credential?.file === undefined ? "" : `${credential.variable}="$(cat ${quoted(credential.file)})" `;
  const line = `${before}${words.map(quoted).join(" ")}`;
  if (inline !== undefined) return line;
  // JSON on one line never is the word that ends it.
  return `${line} <<'END'\n${documents.map((document) => `${document}\n`).join("")}END`;
}

function securityOf({ protocol }: URL, security: ShownSecurity): string[] {
  if (protocol !== "https:") return ["-plaintext"];
  const { caFile = "", certFile = "", keyFile = "", serverName = "", insecure = false } = security;
  return [
    ...(insecure ? ["-insecure"] : caFile === "" ? [] : ["-cacert", caFile]),
    ...(certFile === "" ? [] : ["-cert", certFile]),
    ...(keyFile === "" ? [] : ["-key", keyFile]),
    ...(serverName === "" ? [] : ["-servername", serverName]),
  ];
}

function credentialOf({ credential }: ShownSecurity): string[] {
  return credential === undefined ? [] : ["-expand-headers", "-H", `authorization: Bearer \${${credential.variable}}`];
}

function hostOf({ hostname, port, protocol }: URL): string {
  return `${hostname}:${port === "" ? (protocol === "https:" ? 443 : 80) : port}`;
}

/** A word as a POSIX shell reads it back. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
