// The grpcurl call that does what a call of ours does, as a line for a shell. Pure.
import { type DescMethod, type Message, toJsonString } from "@bufbuild/protobuf";

/** A call to be shown. */
export interface ShownCall {
  /** The coordinator's URL. */
  readonly url: string;
  readonly method: DescMethod;
  /** What is sent: one message, or several of a stream. */
  readonly requests: readonly Message[];
  /** A file with certificates to trust beside the machine's own. */
  readonly caFile?: string | undefined;
  /** Whether any certificate is trusted. */
  readonly insecure?: boolean;
}

// Linux takes no argument of 128 KiB; what is longer, or more than one message, goes in as grpcurl's standard input.
const MAX_ARGUMENT_LENGTH = 100_000;

/** Writes the call down. */
export function grpcurlCall({ url, method, requests, caFile, insecure = false }: ShownCall): string {
  const documents = requests.map((request) => toJsonString(method.input, request));
  const only = documents.length === 1 ? documents[0] : undefined;
  const inline = only !== undefined && only.length <= MAX_ARGUMENT_LENGTH ? only : undefined;
  const words = [
    "grpcurl",
    ...securityOf(new URL(url), caFile, insecure),
    "-d",
    inline ?? "@",
    hostOf(new URL(url)),
    `${method.parent.typeName}/${method.name}`,
  ];
  const line = words.map(quoted).join(" ");
  if (inline !== undefined) return line;
  // JSON on one line never is the word that ends it.
  return `${line} <<'END'\n${documents.map((document) => `${document}\n`).join("")}END`;
}

function securityOf({ protocol }: URL, caFile: string | undefined, insecure: boolean): string[] {
  if (protocol !== "https:") return ["-plaintext"];
  if (insecure) return ["-insecure"];
  return caFile === undefined || caFile === "" ? [] : ["-cacert", caFile];
}

function hostOf({ hostname, port, protocol }: URL): string {
  return `${hostname}:${port === "" ? (protocol === "https:" ? 443 : 80) : port}`;
}

/** A word as a POSIX shell reads it back. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
