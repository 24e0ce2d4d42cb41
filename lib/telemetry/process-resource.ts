// Owns what traces and metrics say of the process that they come from: the same in both, or nobody could put them side by side.
import { defaultResource, type Resource, resourceFromAttributes } from "@opentelemetry/resources";
import { ATTR_SERVICE_INSTANCE_ID, ATTR_SERVICE_NAME, ATTR_SERVICE_VERSION } from "@opentelemetry/semantic-conventions";
import type { OtelVariables } from "./otel-variables.ts";

/** What the code says of its process. */
export interface ProcessFacts {
  /** `service.name` unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES names another. */
  readonly serviceName: string;
  /** `service.version`. */
  readonly serviceVersion?: string | undefined;
  /** `service.instance.id`: tells replicas apart. Default: a random UUID, one for the whole process. */
  readonly instanceId?: string | undefined;
}

/** What the variables say of it. */
export interface NamedProcess {
  readonly serviceName: string | undefined;
  readonly resourceAttributes: Readonly<Record<string, string>>;
}

const INSTANCE_ID = crypto.randomUUID();

/** Reads OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES. */
export function readNamedProcess(variables: OtelVariables): NamedProcess {
  return {
    serviceName: variables.text("OTEL_SERVICE_NAME"),
    resourceAttributes: variables.pairs("OTEL_RESOURCE_ATTRIBUTES"),
  };
}

/** The resource of the process. */
export function processResource(facts: ProcessFacts, named: NamedProcess): Resource {
  const version = facts.serviceVersion === undefined ? {} : { [ATTR_SERVICE_VERSION]: facts.serviceVersion };
  // Precedence as specified: OTEL_SERVICE_NAME over OTEL_RESOURCE_ATTRIBUTES over what the code says.
  const own = named.serviceName === undefined ? {} : { [ATTR_SERVICE_NAME]: named.serviceName };
  return defaultResource().merge(
    resourceFromAttributes({
      [ATTR_SERVICE_NAME]: facts.serviceName,
      [ATTR_SERVICE_INSTANCE_ID]: facts.instanceId ?? INSTANCE_ID,
      ...version,
      ...named.resourceAttributes,
      ...own,
    }),
  );
}
