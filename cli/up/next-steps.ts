// What a new user can do next, as lines to paste.

/** What the lines speak of. */
export interface NextStepsFacts {
  /** The coordinator's address, e.g. `http://127.0.0.1:8080`. */
  readonly url: string;
  /** The address of a trace of what has just been done; undefined if there is none. */
  readonly trace: string | undefined;
  readonly natsUrl: string;
  /** The file of credentials for that; undefined if none are known. */
  readonly natsCredentials: string | undefined;
  readonly logDir: string;
}

/** The lines, the first of which is `ready <url>`. */
export function nextSteps({ url, trace, natsUrl, natsCredentials, logDir }: NextStepsFacts): string {
  const address = url.replace(/^https?:\/\//, "");
  const task = '{"type":"echo","input":{"json":{"message":"hello"}}}';
  const isDefault = url === "http://127.0.0.1:8080";
  const cli = isDefault ? "npx mycel" : `MYCEL_URL=${url} npx mycel`;
  const lines = [
    `ready ${url}`,
    "",
    `  curl      curl -s ${url}/mycel.v1.AgentService/SubmitTask -H 'content-type: application/json' -d '${task}'`,
    `  grpcurl   grpcurl -plaintext -d '{"task":${task}}' ${address} mycel.v1.AgentService/RunTask`,
    `  mycel     ${cli} submit echo '{"message":"hello","repeat":3,"delayMs":300}' --stream`,
    `            ${cli} agents`,
    `  NATS      ${natsUrl}${natsCredentials === undefined ? "" : ` (nats --creds ${natsCredentials})`}`,
    "  logs      " + logDir,
  ];
  if (trace !== undefined) lines.push("  trace     " + trace);
  lines.push("", "Ctrl-C stops everything; the data stays.");
  return lines.join("\n");
}
