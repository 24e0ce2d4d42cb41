// Owns where a signal goes: traces and metrics by the same rules of the standard variables, each with variables of its own. Pure.
import type { OtelVariables } from "./otel-variables.ts";

/** What is sent. */
export type Signal = "traces" | "metrics";

/** Where a signal goes. `none` means that nothing is registered at all. */
export type SignalTarget =
  | { readonly kind: "none" }
  | { readonly kind: "console" }
  | {
      readonly kind: "otlp";
      readonly url: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly timeoutMs: number;
    };

const SIGNALS = {
  traces: { word: "TRACES", nothing: "no tracing" },
  metrics: { word: "METRICS", nothing: "no metrics" },
} as const;

/** Reads where `signal` goes. */
export function readSignalTarget(variables: OtelVariables, signal: Signal): SignalTarget {
  const { word, nothing } = SIGNALS[signal];
  const disabled = variables.text("OTEL_SDK_DISABLED")?.toLowerCase();
  if (disabled === "true") return { kind: "none" };
  if (disabled !== undefined && disabled !== "false") {
    variables.complain("OTEL_SDK_DISABLED", "true or false", "false");
  }

  const exporterName = `OTEL_${word}_EXPORTER`;
  const exporter = variables.text(exporterName);
  if (exporter === "none") return { kind: "none" };
  if (exporter === "console") return { kind: "console" };
  if (exporter !== undefined && exporter !== "otlp") {
    variables.complain(exporterName, "none, otlp or console", "otlp");
  }

  const ownName = `OTEL_EXPORTER_OTLP_${word}_ENDPOINT`;
  const own = variables.text(ownName);
  const name = own === undefined ? "OTEL_EXPORTER_OTLP_ENDPOINT" : ownName;
  const text = own ?? variables.text(name);
  // Unlike the specification, otlp without an endpoint does not fall back to localhost:4318: a collector that nobody
  // set up would cost a failed connection every few seconds in every process.
  if (text === undefined) {
    if (exporter === "otlp") variables.complain(name, `an http or https URL when ${exporterName}=otlp`, nothing);
    return { kind: "none" };
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:")) {
    variables.complain(name, "an http or https URL", nothing);
    return { kind: "none" };
  }
  const ownProtocol = `OTEL_EXPORTER_OTLP_${word}_PROTOCOL`;
  const protocolName = variables.text(ownProtocol) === undefined ? "OTEL_EXPORTER_OTLP_PROTOCOL" : ownProtocol;
  const protocol = variables.text(protocolName);
  if (protocol !== undefined && protocol !== "http/json") {
    variables.complain(protocolName, "http/json, the only one built in", "http/json");
  }
  // The shared endpoint is a base to which the signal's path is added; the signal's own is used as it stands.
  if (own === undefined) url.pathname = `${url.pathname.replace(/\/$/, "")}/v1/${signal}`;
  return {
    kind: "otlp",
    url: url.href,
    headers: {
      ...variables.pairs("OTEL_EXPORTER_OTLP_HEADERS"),
      ...variables.pairs(`OTEL_EXPORTER_OTLP_${word}_HEADERS`),
    },
    timeoutMs: variables.count(
      `OTEL_EXPORTER_OTLP_${word}_TIMEOUT`,
      variables.count("OTEL_EXPORTER_OTLP_TIMEOUT", 10_000, 1),
      1,
    ),
  };
}
