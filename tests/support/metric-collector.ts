// A collector of metrics: takes what a real OTLP exporter posts, over real HTTP, and tells the latest that it knows.
import { text } from "node:stream/consumers";
import { openWebServer } from "./web-server.ts";

/** One series of a histogram, as the latest export told it. */
export interface HistogramPoint {
  /** `service.name` of its process. */
  readonly service: string;
  readonly unit: string;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly count: number;
  readonly sum: number;
  readonly bounds: readonly number[];
}

/** A collector that runs. */
export interface MetricCollector extends AsyncDisposable {
  /** The base URL: `/v1/metrics` takes metrics. */
  readonly url: string;
  /** The paths of all requests. */
  readonly paths: readonly string[];
  /** The series of the histogram `name` in the latest export that has it. */
  points(name: string): readonly HistogramPoint[];
  /** All that was taken, as it came. */
  text(): string;
}

interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: number | string };
}

interface Metric {
  readonly name: string;
  readonly unit: string;
  readonly histogram?: {
    readonly dataPoints: readonly {
      readonly attributes: readonly Attribute[];
      readonly count: number | string;
      readonly sum: number;
      readonly explicitBounds: readonly number[];
    }[];
  };
}

interface ExportRequest {
  readonly resourceMetrics: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeMetrics: readonly { readonly metrics: readonly Metric[] }[];
  }[];
}

/** Opens a collector on a free port. It answers `/v1/metrics` only, with `status`; 200 if left out. */
export async function openMetricCollector(status = 200): Promise<MetricCollector> {
  const paths: string[] = [];
  const bodies: string[] = [];
  const series = new Map<string, readonly HistogramPoint[]>();
  const server = await openWebServer(async (request, response) => {
    paths.push(request.url ?? "");
    const body = await text(request);
    if (request.url !== "/v1/metrics" || status !== 200) return response.writeHead(status === 200 ? 404 : status).end();
    bodies.push(body);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- tests expect each field that is read
    for (const [name, points] of seriesOf(JSON.parse(body) as ExportRequest)) series.set(name, points);
    return response.writeHead(200, { "content-type": "application/json" }).end("{}");
  });
  return {
    url: server.url,
    paths,
    points: (name) => series.get(name) ?? [],
    text: () => bodies.join("\n"),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

function seriesOf({ resourceMetrics }: ExportRequest): [string, HistogramPoint[]][] {
  return resourceMetrics.flatMap(({ resource, scopeMetrics }) =>
    scopeMetrics.flatMap(({ metrics }) =>
      metrics.map(({ name, unit, histogram }): [string, HistogramPoint[]] => [
        name,
        (histogram?.dataPoints ?? []).map(({ attributes, count, sum, explicitBounds }) => ({
          service: String(valuesOf(resource.attributes)["service.name"]),
          unit,
          attributes: valuesOf(attributes),
          count: Number(count),
          sum,
          bounds: explicitBounds,
        })),
      ]),
    ),
  );
}

function valuesOf(attributes: readonly Attribute[]): Record<string, string | number> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue ?? Number(value.intValue)]));
}
